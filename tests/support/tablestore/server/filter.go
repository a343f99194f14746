// Filters and column conditions.
package main

import (
	"github.com/aliyun/aliyun-tablestore-go-sdk/tablestore/otsprotocol"
	"github.com/golang/protobuf/proto"
)

const deepestFilter = 10

// CT_EXIST and CT_NOT_EXIST are newer than the Go SDK.
const (
	comparatorExist    otsprotocol.ComparatorType = 7
	comparatorNotExist otsprotocol.ComparatorType = 8
)

type filter struct {
	single   *otsprotocol.SingleColumnValueFilter
	value    Value
	operator otsprotocol.LogicalOperator
	parts    []*filter
	page     *otsprotocol.ColumnPaginationFilter
}

func readFilter(data []byte) (*filter, *failure) { return readFilterAt(data, 0) }

func readFilterAt(data []byte, depth int) (*filter, *failure) {
	var outer otsprotocol.Filter
	if err := proto.Unmarshal(data, &outer); err != nil || depth > deepestFilter {
		return nil, invalid("Invalid filter.")
	}
	switch outer.GetType() {
	case otsprotocol.FilterType_FT_SINGLE_COLUMN_VALUE:
		single := &otsprotocol.SingleColumnValueFilter{}
		if err := proto.Unmarshal(outer.Filter, single); err != nil {
			return nil, invalid("Invalid filter: %v.", err)
		}
		if single.ValueTransRule != nil {
			return nil, refuse("OTSUnsupportOperation", "Value transfer rules are not supported.")
		}
		f := &filter{single: single}
		switch single.GetComparator() {
		case comparatorExist, comparatorNotExist:
			return f, nil
		}
		value, rest, err := readValue(single.ColumnValue)
		if err != nil || len(rest) > 0 || value.Kind > kindBlob {
			return nil, invalid("Invalid value in a filter.")
		}
		f.value = value
		return f, nil
	case otsprotocol.FilterType_FT_COMPOSITE_COLUMN_VALUE:
		var composite otsprotocol.CompositeColumnValueFilter
		if err := proto.Unmarshal(outer.Filter, &composite); err != nil {
			return nil, invalid("Invalid filter: %v.", err)
		}
		f := &filter{operator: composite.GetCombinator()}
		for _, part := range composite.SubFilters {
			raw, _ := proto.Marshal(part)
			sub, failed := readFilterAt(raw, depth+1)
			if failed != nil {
				return nil, failed
			}
			f.parts = append(f.parts, sub)
		}
		if not := f.operator == otsprotocol.LogicalOperator_LO_NOT; len(f.parts) == 0 || not && len(f.parts) != 1 {
			return nil, invalid("Invalid number of sub filters: %d.", len(f.parts))
		}
		return f, nil
	case otsprotocol.FilterType_FT_COLUMN_PAGINATION:
		f := &filter{page: &otsprotocol.ColumnPaginationFilter{}}
		if err := proto.Unmarshal(outer.Filter, f.page); err != nil || f.page.GetLimit() < 1 || f.page.GetOffset() < 0 {
			return nil, invalid("Invalid column pagination.")
		}
		return f, nil
	}
	return nil, invalid("Unknown filter type.")
}

func (f *filter) paginates() bool {
	for _, part := range f.parts {
		if part.paginates() {
			return true
		}
	}
	return f.page != nil
}

func (f *filter) paginate(columns []Column) []Column {
	if f.page == nil {
		return columns
	}
	from := min(int(f.page.GetOffset()), len(columns))
	return columns[from:min(from+int(f.page.GetLimit()), len(columns))]
}

func (f *filter) passes(row *Row) bool {
	switch {
	case f.page != nil:
		return true
	case f.single != nil:
		return f.passesSingle(row)
	case f.operator == otsprotocol.LogicalOperator_LO_NOT:
		return !f.parts[0].passes(row)
	}
	all := f.operator == otsprotocol.LogicalOperator_LO_AND
	for _, part := range f.parts {
		if part.passes(row) != all {
			return !all
		}
	}
	return all
}

func (f *filter) passesSingle(row *Row) bool {
	column := row.column(f.single.GetColumnName())
	switch f.single.GetComparator() {
	case comparatorExist:
		return column != nil
	case comparatorNotExist:
		return column == nil
	}
	if column == nil {
		return !f.single.GetFilterIfMissing()
	}
	cells := column.Cells
	if f.single.GetLatestVersionOnly() {
		cells = cells[:1]
	}
	for i := range cells {
		if f.compares(&cells[i].Value) {
			return true
		}
	}
	return false
}

func (f *filter) compares(found *Value) bool {
	order, same := found.compare(&f.value)
	comparator := f.single.GetComparator()
	if !same {
		return comparator == otsprotocol.ComparatorType_CT_NOT_EQUAL
	}
	switch comparator {
	case otsprotocol.ComparatorType_CT_EQUAL:
		return order == 0
	case otsprotocol.ComparatorType_CT_NOT_EQUAL:
		return order != 0
	case otsprotocol.ComparatorType_CT_GREATER_THAN:
		return order > 0
	case otsprotocol.ComparatorType_CT_GREATER_EQUAL:
		return order >= 0
	case otsprotocol.ComparatorType_CT_LESS_THAN:
		return order < 0
	}
	return order <= 0
}
