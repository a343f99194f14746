// CRC-8 of PlainBuffer: polynomial 07, initial value 0, eight bytes a step.
package main

var crcTables = makeCrcTables()

func makeCrcTables() (tables [8][256]byte) {
	for i := range 256 {
		crc := byte(i)
		for range 8 {
			carry := crc&0x80 != 0
			crc <<= 1
			if carry {
				crc ^= 0x07
			}
		}
		tables[0][i] = crc
	}
	// CRC is linear: a byte that n others follow has its own table.
	for n := 1; n < 8; n++ {
		for i := range 256 {
			tables[n][i] = tables[0][tables[n-1][i]]
		}
	}
	return tables
}

func crcByte(crc, in byte) byte { return crcTables[0][crc^in] }

func crcBytes[T string | []byte](crc byte, in T) byte {
	i := 0
	t := &crcTables
	for ; i+8 <= len(in); i += 8 {
		crc = t[7][crc^in[i]] ^ t[6][in[i+1]] ^ t[5][in[i+2]] ^ t[4][in[i+3]] ^
			t[3][in[i+4]] ^ t[2][in[i+5]] ^ t[1][in[i+6]] ^ t[0][in[i+7]]
	}
	for ; i < len(in); i++ {
		crc = t[0][crc^in[i]]
	}
	return crc
}
