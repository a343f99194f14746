// The list of operations by path.
package main

import (
	"errors"

	"github.com/golang/protobuf/proto"
)

var verbs map[string]verb

func init() {
	verbs = map[string]verb{
		"ListTable":                reading(listTable),
		"CreateTable":              changing(createTable),
		"DescribeTable":            reading(describeTable),
		"UpdateTable":              changing(updateTable),
		"DeleteTable":              changing(deleteTable),
		"CreateIndex":              changing(createIndex),
		"DropIndex":                changing(dropIndex),
		"AddDefinedColumn":         changing(addDefinedColumn),
		"DeleteDefinedColumn":      changing(deleteDefinedColumn),
		"ComputeSplitPointsBySize": reading(computeSplitPoints),
		"PutRow":                   changing(putRow),
		"UpdateRow":                changing(updateRow),
		"DeleteRow":                changing(deleteRow),
		"GetRow":                   reading(getRow),
		"BatchGetRow":              reading(batchGetRow),
		"BatchWriteRow":            changing(batchWriteRow),
		"BulkImport":               changing(bulkImport),
		"GetRange":                 reading(getRange),
		"BulkExport":               reading(bulkExport),
		"ListStream":               reading(listStream),
		"DescribeStream":           reading(describeStream),
		"GetShardIterator":         reading(getShardIterator),
		"GetStreamRecord":          reading(getStreamRecord),
		"tunnel/create":            changing(createTunnel),
		"tunnel/list":              reading(listTunnel),
		"tunnel/describe":          reading(describeTunnel),
		"tunnel/delete":            changing(deleteTunnel),
		"tunnel/connect":           changing(connectTunnel),
		"tunnel/heartbeat":         changing(heartbeat),
		"tunnel/shutdown":          changing(shutdownTunnel),
		"tunnel/schedule":          changing(scheduleTunnel),
		"tunnel/getcheckpoint":     reading(getCheckpoint),
		"tunnel/checkpoint":        changing(checkpoint),
		"tunnel/readrecords":       reading(readRecords),
	}
}

// lacksOnlyFields: BulkImport is read with BatchWriteRow's messages, whose condition it does not have.
func lacksOnlyFields(err error) bool {
	var lacking *proto.RequiredNotSetError
	return errors.As(err, &lacking)
}
