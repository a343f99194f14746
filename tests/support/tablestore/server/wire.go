// Protobuf read in place, without copies: for the writes of bench mode.
package main

import "encoding/binary"

// field is one field of a message: varint in number, bytes in data.
type field struct {
	tag    int
	number uint64
	data   []byte
}

// nextField takes one field off the front; ok is false at the end and at nonsense.
func nextField(message []byte) (f field, rest []byte, ok bool) {
	head, n := binary.Uvarint(message)
	if n <= 0 {
		return f, nil, false
	}
	message = message[n:]
	f.tag = int(head >> 3)
	switch head & 7 {
	case 0:
		if f.number, n = binary.Uvarint(message); n <= 0 {
			return f, nil, false
		}
		return f, message[n:], true
	case 1:
		if len(message) < 8 {
			return f, nil, false
		}
		return f, message[8:], true
	case 2:
		length, n := binary.Uvarint(message)
		if n <= 0 || length > uint64(len(message)-n) {
			return f, nil, false
		}
		end := n + int(length)
		f.data = message[n:end:end]
		return f, message[end:], true
	case 5:
		if len(message) < 4 {
			return f, nil, false
		}
		return f, message[4:], true
	}
	return f, nil, false
}

func appendField(message []byte, tag int, data []byte) []byte {
	message = binary.AppendUvarint(message, uint64(tag)<<3|2)
	message = binary.AppendUvarint(message, uint64(len(data)))
	return append(message, data...)
}
