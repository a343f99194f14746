// Writes PlainBuffer: rows of answers, records of streams.
package main

import "encoding/binary"

func plainStart(buf []byte) []byte { return binary.LittleEndian.AppendUint32(buf, plainHeader) }

// Sequence places a record in its shard.
type Sequence struct {
	Micros int64
	Index  int32
}

// plainRow collects one row; the parts come in the order key, cells, end.
type plainRow struct {
	buf  []byte
	crc  byte
	data bool
}

func (p *plainRow) key(names []string, key []Value) {
	p.buf = append(p.buf, tagRowKey)
	p.crc, p.data = 0, false
	for i := range key {
		p.put(names[i], &key[i], opPut, nil)
	}
}

// cell writes an attribute cell; value and time are left out when nil.
func (p *plainRow) cell(name string, value *Value, op byte, time *int64) {
	if !p.data {
		p.buf = append(p.buf, tagRowData)
		p.data = true
	}
	p.put(name, value, op, time)
}

func (p *plainRow) put(name string, value *Value, op byte, time *int64) {
	buf := append(p.buf, tagCell, tagCellName)
	buf = binary.LittleEndian.AppendUint32(buf, uint32(len(name)))
	buf = append(buf, name...)
	crc := crcBytes(0, name)
	if value != nil {
		buf = append(buf, tagCellValue)
		buf = binary.LittleEndian.AppendUint32(buf, uint32(value.encodedSize()))
		start := len(buf)
		buf = value.append(buf)
		crc = crcBytes(crc, buf[start:])
	}
	if op != opPut {
		buf = append(buf, tagCellOp, op)
	}
	if time != nil {
		buf = append(buf, tagCellTime)
		start := len(buf)
		buf = binary.LittleEndian.AppendUint64(buf, uint64(*time))
		crc = crcBytes(crc, buf[start:])
	}
	if op != opPut {
		crc = crcByte(crc, op)
	}
	p.buf = append(buf, tagCellChecksum, crc)
	p.crc = crcByte(p.crc, crc)
}

// end closes the row; a record of a stream carries its sequence.
func (p *plainRow) end(sequence *Sequence) {
	if sequence != nil {
		p.buf = append(p.buf, tagExtension, 24, 0, 0, 0, 0x0C, 19, 0, 0, 0, 0x0D, 0, 0, 0, 0, 0x0E)
		p.buf = binary.LittleEndian.AppendUint64(p.buf, uint64(sequence.Micros))
		p.buf = append(p.buf, 0x0F)
		p.buf = binary.LittleEndian.AppendUint32(p.buf, uint32(sequence.Index))
	}
	p.buf = append(p.buf, tagRowChecksum, crcByte(p.crc, 0))
}

// plainKey is a key alone, as next_start_primary_key and split points carry it.
func plainKey(names []string, key []Value) []byte {
	p := plainRow{buf: plainStart(nil)}
	p.key(names, key)
	p.end(nil)
	return p.buf
}
