// One value of a cell or of a key column: its kind, its bits, its order.
package main

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"math"
)

const (
	kindInteger byte = 0x00
	kindDouble  byte = 0x01
	kindBoolean byte = 0x02
	kindString  byte = 0x03
	kindNull    byte = 0x06
	kindBlob    byte = 0x07
	kindInfMin  byte = 0x09
	kindInfMax  byte = 0x0A
	kindAuto    byte = 0x0B
)

var errCut = errors.New("the buffer ends too early")

// Value holds fixed-size kinds in Bits and the others in Bytes.
type Value struct {
	Kind  byte
	Bits  uint64
	Bytes []byte
}

func integer(v int64) Value { return Value{Kind: kindInteger, Bits: uint64(v)} }

func (v *Value) integer() int64 { return int64(v.Bits) }

// size is what the service counts for a value.
func (v *Value) size() int {
	switch v.Kind {
	case kindInteger, kindDouble:
		return 8
	case kindBoolean:
		return 1
	}
	return len(v.Bytes)
}

// encodedSize is the length of type byte and payload.
func (v *Value) encodedSize() int {
	switch v.Kind {
	case kindInteger, kindDouble:
		return 9
	case kindBoolean:
		return 2
	case kindString, kindBlob:
		return 5 + len(v.Bytes)
	}
	return 1
}

func (v *Value) append(buf []byte) []byte {
	buf = append(buf, v.Kind)
	switch v.Kind {
	case kindInteger, kindDouble:
		buf = binary.LittleEndian.AppendUint64(buf, v.Bits)
	case kindBoolean:
		buf = append(buf, byte(v.Bits))
	case kindString, kindBlob:
		buf = binary.LittleEndian.AppendUint32(buf, uint32(len(v.Bytes)))
		buf = append(buf, v.Bytes...)
	}
	return buf
}

// readValue takes one value off the front; the bytes of a string stay where they lie.
func readValue(data []byte) (v Value, rest []byte, err error) {
	if len(data) < 1 {
		return v, nil, errCut
	}
	v.Kind, data = data[0], data[1:]
	switch v.Kind {
	case kindInteger, kindDouble:
		if len(data) < 8 {
			return v, nil, errCut
		}
		v.Bits, data = binary.LittleEndian.Uint64(data), data[8:]
	case kindBoolean:
		if len(data) < 1 {
			return v, nil, errCut
		}
		if data[0] > 1 {
			return v, nil, errors.New("a boolean is 0 or 1")
		}
		v.Bits, data = uint64(data[0]), data[1:]
	case kindString, kindBlob:
		if len(data) < 4 {
			return v, nil, errCut
		}
		length := int(binary.LittleEndian.Uint32(data))
		data = data[4:]
		if length > len(data) {
			return v, nil, errCut
		}
		v.Bytes, data = data[:length:length], data[length:]
	case kindInfMin, kindInfMax, kindAuto:
	default:
		return v, nil, errors.New("unknown value type")
	}
	return v, data, nil
}

// compare orders two values of one kind; ok is false when the kinds differ.
func (v *Value) compare(other *Value) (order int, ok bool) {
	if v.Kind != other.Kind {
		return 0, false
	}
	switch v.Kind {
	case kindInteger:
		return cmp.Compare(int64(v.Bits), int64(other.Bits)), true
	case kindDouble:
		return cmp.Compare(math.Float64frombits(v.Bits), math.Float64frombits(other.Bits)), true
	case kindBoolean:
		return cmp.Compare(v.Bits, other.Bits), true
	}
	return bytes.Compare(v.Bytes, other.Bytes), true
}
