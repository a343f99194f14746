// SimpleRowMatrix: rows under one list of columns, without names and times.
package main

import (
	"encoding/binary"
	"slices"
)

const matrixVersion = 0x304D5253

// matrix writes the newest version of each named attribute; no rows are zero bytes.
func (p *page) matrix(v *view, names []string) []byte {
	if len(p.rows) == 0 {
		return []byte{}
	}
	keys := v.table.keyNames
	var columns []string
	for _, name := range names {
		if !slices.Contains(keys, name) && !slices.Contains(columns, name) {
			columns = append(columns, name)
		}
	}
	u32 := binary.LittleEndian.AppendUint32
	buf := u32(nil, matrixVersion)
	buf = append(buf, make([]byte, 8)...)
	buf = u32(buf, uint32(len(keys)))
	buf = u32(buf, uint32(len(columns)))
	for _, name := range slices.Concat(keys, columns) {
		buf = binary.LittleEndian.AppendUint16(buf, uint16(len(name)))
		buf = append(buf, name...)
	}
	binary.LittleEndian.PutUint32(buf[8:], uint32(len(buf)))
	buf = append(buf, 0x0A, 1, 0x03)
	buf = u32(buf, uint32(len(p.rows)))
	binary.LittleEndian.PutUint32(buf[4:], uint32(len(buf)))
	for _, row := range p.rows {
		buf = append(buf, 0x02)
		for i := range row.Primary {
			buf = row.Primary[i].append(buf)
		}
		shown := Row{Columns: v.shown(row)}
		for _, name := range columns {
			if column := shown.column(name); column != nil {
				buf = column.Cells[0].Value.append(buf)
			} else {
				buf = append(buf, kindNull)
			}
		}
	}
	buf = append(buf, 0x01)
	return append(buf, crcBytes(0, buf))
}
