// Primary keys as text whose byte order is the key order, so that a sorted map of strings holds a table.
package main

import "encoding/binary"

const (
	keyInfMin = 0x01
	keyValue  = 0x02
	keyInfMax = 0xFF
)

// sortable turns a key, or the first columns of one, into bytes that sort as the key does.
func sortable(key []Value) string {
	buf := make([]byte, 0, 48)
	for i := range key {
		v := &key[i]
		switch v.Kind {
		case kindInfMin:
			buf = append(buf, keyInfMin)
		case kindInfMax:
			buf = append(buf, keyInfMax)
		case kindInteger:
			buf = append(buf, keyValue)
			buf = binary.BigEndian.AppendUint64(buf, v.Bits^(1<<63))
		default:
			buf = append(buf, keyValue)
			for _, b := range v.Bytes {
				buf = append(buf, b)
				if b == 0 {
					buf = append(buf, 0xFF)
				}
			}
			buf = append(buf, 0, 0)
		}
	}
	return string(buf)
}

func isBound(key []Value) bool {
	for i := range key {
		if key[i].Kind == kindInfMin || key[i].Kind == kindInfMax {
			return true
		}
	}
	return false
}
