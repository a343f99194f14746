// Reads PlainBuffer: one row of a request, with every checksum checked.
package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"unsafe"
)

const (
	plainHeader = 0x75

	tagRowKey       byte = 0x01
	tagRowData      byte = 0x02
	tagCell         byte = 0x03
	tagCellName     byte = 0x04
	tagCellValue    byte = 0x05
	tagCellOp       byte = 0x06
	tagCellTime     byte = 0x07
	tagDeleteMarker byte = 0x08
	tagRowChecksum  byte = 0x09
	tagCellChecksum byte = 0x0A
	tagExtension    byte = 0x0B

	opPut       byte = 0x00 // not on the wire: the absence of an op
	opDeleteAll byte = 0x01
	opDeleteOne byte = 0x03
	opIncrement byte = 0x04
)

// WireCell is a cell as it stands in a request.
type WireCell struct {
	Name     string
	Value    Value
	HasValue bool
	Op       byte
	Time     int64
	HasTime  bool
}

// WireRow is a row as it stands in a request. Names and values point into the buffer it was read from.
type WireRow struct {
	Key    []WireCell
	Cells  []WireCell
	Delete bool
	Size   int
}

type plainReader struct {
	data []byte
	at   int
}

func (r *plainReader) peek() (byte, bool) {
	if r.at < len(r.data) {
		return r.data[r.at], true
	}
	return 0, false
}

func (r *plainReader) take(n int) ([]byte, error) {
	if n < 0 || n > len(r.data)-r.at {
		return nil, errCut
	}
	r.at += n
	return r.data[r.at-n : r.at], nil
}

func (r *plainReader) u32() (int, error) {
	b, err := r.take(4)
	if err != nil {
		return 0, err
	}
	return int(binary.LittleEndian.Uint32(b)), nil
}

// is takes the tag if it comes next.
func (r *plainReader) is(tag byte) bool {
	if next, ok := r.peek(); ok && next == tag {
		r.at++
		return true
	}
	return false
}

// readRow reads the one row of a request. Zero bytes after it are the Node SDK's padding.
func readRow(data []byte, row *WireRow) error {
	r := plainReader{data: data}
	row.Key, row.Cells, row.Delete, row.Size = row.Key[:0], row.Cells[:0], false, 0
	header, err := r.u32()
	if err != nil || header != plainHeader {
		return errors.New("no PlainBuffer header")
	}
	crc := byte(0)
	if !r.is(tagRowKey) {
		return errors.New("a row begins with its primary key")
	}
	for next, _ := r.peek(); next == tagCell; next, _ = r.peek() {
		if row.Key, err = r.cell(row.Key, &crc); err != nil {
			return err
		}
	}
	if r.is(tagRowData) {
		for next, _ := r.peek(); next == tagCell; next, _ = r.peek() {
			if row.Cells, err = r.cell(row.Cells, &crc); err != nil {
				return err
			}
			last := &row.Cells[len(row.Cells)-1]
			row.Size += len(last.Name) + last.Value.size()
		}
	}
	if r.is(tagDeleteMarker) {
		row.Delete = true
		crc = crcByte(crc, 1)
	} else {
		crc = crcByte(crc, 0)
	}
	if !r.is(tagRowChecksum) {
		return errors.New("no row checksum where one belongs")
	}
	sum, err := r.take(1)
	if err != nil || sum[0] != crc {
		return errors.New("the row checksum does not match")
	}
	for _, b := range r.data[r.at:] {
		if b != 0 {
			return errors.New("bytes after the row")
		}
	}
	return nil
}

func (r *plainReader) cell(cells []WireCell, rowCrc *byte) ([]WireCell, error) {
	r.at++
	if !r.is(tagCellName) {
		return nil, errors.New("a cell begins with its name")
	}
	length, err := r.u32()
	if err != nil {
		return nil, err
	}
	name, err := r.take(length)
	if err != nil {
		return nil, err
	}
	cell := WireCell{Name: unsafe.String(unsafe.SliceData(name), len(name))}
	crc := crcBytes(0, name)
	if r.is(tagCellValue) {
		size, err := r.u32()
		if err != nil {
			return nil, err
		}
		raw, err := r.take(size)
		if err != nil {
			return nil, err
		}
		value, rest, err := readValue(raw)
		if err != nil {
			return nil, err
		}
		if len(rest) > 0 {
			return nil, errors.New("a value is shorter than its size")
		}
		cell.Value, cell.HasValue = value, true
		crc = crcBytes(crc, raw)
	}
	if r.is(tagCellOp) {
		op, err := r.take(1)
		if err != nil {
			return nil, err
		}
		if cell.Op = op[0]; cell.Op != opDeleteAll && cell.Op != opDeleteOne && cell.Op != opIncrement {
			return nil, fmt.Errorf("unknown cell operation %d", cell.Op)
		}
	}
	if r.is(tagCellTime) {
		raw, err := r.take(8)
		if err != nil {
			return nil, err
		}
		cell.Time, cell.HasTime = int64(binary.LittleEndian.Uint64(raw)), true
		crc = crcBytes(crc, raw)
	}
	if cell.Op != opPut {
		crc = crcByte(crc, cell.Op)
	}
	if !r.is(tagCellChecksum) {
		return nil, errors.New("no cell checksum where one belongs")
	}
	sum, err := r.take(1)
	if err != nil || sum[0] != crc {
		return nil, errors.New("the cell checksum does not match")
	}
	*rowCrc = crcByte(*rowCrc, crc)
	return append(cells, cell), nil
}
