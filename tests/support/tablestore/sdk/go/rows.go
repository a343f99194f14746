// Tables, rows, batches, ranges.
package main

import (
	"fmt"
	"math"
	"slices"

	ots "github.com/aliyun/aliyun-tablestore-go-sdk/tablestore"
)

func create(name string, maxVersions int, stream *ots.StreamSpecification) error {
	meta := &ots.TableMeta{TableName: name}
	meta.AddPrimaryKeyColumn("gid", ots.PrimaryKeyType_INTEGER)
	meta.AddPrimaryKeyColumn("uid", ots.PrimaryKeyType_STRING)
	options := ots.NewTableOption(-1, maxVersions)
	options.DeviationCellVersionInSec = 315360000
	_, err := client.CreateTable(&ots.CreateTableRequest{TableMeta: meta, TableOption: options,
		ReservedThroughput: &ots.ReservedThroughput{}, StreamSpec: stream})
	return err
}

func key(number int) *ots.PrimaryKey {
	pk := &ots.PrimaryKey{}
	pk.AddPrimaryKeyColumn("gid", int64(number))
	pk.AddPrimaryKeyColumn("uid", fmt.Sprintf("u%d", number))
	return pk
}

func bound(low bool) *ots.PrimaryKey {
	pk := &ots.PrimaryKey{}
	for _, name := range []string{"gid", "uid"} {
		if low {
			pk.AddPrimaryKeyColumnWithMinValue(name)
		} else {
			pk.AddPrimaryKeyColumnWithMaxValue(name)
		}
	}
	return pk
}

type columns map[string]any

func putChange(table string, pk *ots.PrimaryKey, values columns, expect ots.RowExistenceExpectation) *ots.PutRowChange {
	change := &ots.PutRowChange{TableName: table, PrimaryKey: pk}
	for name, value := range values {
		change.AddColumn(name, value)
	}
	change.SetCondition(expect)
	return change
}

func put(table string, pk *ots.PrimaryKey, values columns, expect ots.RowExistenceExpectation) error {
	_, err := client.PutRow(&ots.PutRowRequest{PutRowChange: putChange(table, pk, values, expect)})
	return err
}

// write is a put that has to succeed.
func write(table string, number int, values columns) {
	if err := put(table, key(number), values, ots.RowExistenceExpectation_IGNORE); err != nil {
		fail("%v", err)
	}
}

func remove(table string, number int) {
	change := &ots.DeleteRowChange{TableName: table, PrimaryKey: key(number)}
	change.SetCondition(ots.RowExistenceExpectation_IGNORE)
	_, err := client.DeleteRow(&ots.DeleteRowRequest{DeleteRowChange: change})
	good(err)
}

// get is nil for an absent row.
func get(table string, pk *ots.PrimaryKey) columns {
	answer, err := client.GetRow(&ots.GetRowRequest{SingleRowQueryCriteria: &ots.SingleRowQueryCriteria{
		TableName: table, PrimaryKey: pk, MaxVersion: 1}})
	good(err)
	if len(answer.PrimaryKey.PrimaryKeys) == 0 {
		return nil
	}
	found := columns{}
	for _, c := range answer.Columns {
		found[c.ColumnName] = c.Value
	}
	return found
}

func table() {
	good(create("t", 3, nil))
	refused(create("t", 3, nil), "OTSObjectAlreadyExist")
	listed, err := client.ListTable()
	good(err)
	same(listed.TableNames, []string{"t"})
	options := ots.NewTableOption(-1, 2)
	options.DeviationCellVersionInSec = 315360000
	_, err = client.UpdateTable(&ots.UpdateTableRequest{TableName: "t", TableOption: options})
	good(err)
	told, err := client.DescribeTable(&ots.DescribeTableRequest{TableName: "t"})
	good(err)
	same(told.TableOption.MaxVersion, 2)
	same(told.TableOption.TimeToAlive, -1)
	same(told.StreamDetails.EnableStream, false)
	same(len(told.TableMeta.SchemaEntry), 2)
	_, err = client.DescribeTable(&ots.DescribeTableRequest{TableName: "absent"})
	refused(err, "OTSObjectNotExist")
}

func row() {
	values := columns{"i": int64(-2), "d": 1.5, "b": true, "s": "h中", "x": []byte{1, 2}, "least": int64(math.MinInt64),
		"most": int64(math.MaxInt64), "tiny": 5e-324, "empty": "", "none": []byte{}, "inf": math.Inf(1)}
	write("t", 1, values)
	same(get("t", key(1)), values)
	write("t", 1, columns{})
	same(get("t", key(1)), columns{})
	remove("t", 1)
	same(get("t", key(1)), columns(nil))
}

func update() {
	write("t", 1, columns{"a": "x", "n": int64(2), "gone": true})
	change := &ots.UpdateRowChange{TableName: "t", PrimaryKey: key(1)}
	change.PutColumn("a", "y")
	change.PutColumnWithTimestamp("old", int64(5), 1700000000123)
	change.DeleteColumn("gone")
	change.IncrementColumn("n", 3)
	change.SetReturnIncrementValue()
	change.AppendIncrementColumnToReturn("n")
	change.SetCondition(ots.RowExistenceExpectation_EXPECT_EXIST)
	answer, err := client.UpdateRow(&ots.UpdateRowRequest{UpdateRowChange: change})
	good(err)
	same(answer.Columns[0].Value, int64(5))
	same(get("t", key(1)), columns{"a": "y", "old": int64(5), "n": int64(5)})
	change = &ots.UpdateRowChange{TableName: "t", PrimaryKey: key(1)}
	change.DeleteColumnWithTimestamp("old", 1700000000123)
	change.SetCondition(ots.RowExistenceExpectation_IGNORE)
	_, err = client.UpdateRow(&ots.UpdateRowRequest{UpdateRowChange: change})
	good(err)
	same(get("t", key(1)), columns{"a": "y", "n": int64(5)})
	remove("t", 1)
}

func condition() {
	good(put("t", key(2), columns{"n": int64(5)}, ots.RowExistenceExpectation_EXPECT_NOT_EXIST))
	refused(put("t", key(2), columns{}, ots.RowExistenceExpectation_EXPECT_NOT_EXIST), "OTSConditionCheckFail")
	refused(put("t", key(3), columns{}, ots.RowExistenceExpectation_EXPECT_EXIST), "OTSConditionCheckFail")
	change := putChange("t", key(2), columns{"n": int64(6)}, ots.RowExistenceExpectation_IGNORE)
	change.SetColumnCondition(ots.NewSingleColumnCondition("n", ots.CT_GREATER_THAN, int64(5)))
	_, err := client.PutRow(&ots.PutRowRequest{PutRowChange: change})
	refused(err, "OTSConditionCheckFail")
	change.SetColumnCondition(ots.NewSingleColumnCondition("n", ots.CT_EQUAL, int64(5)))
	_, err = client.PutRow(&ots.PutRowRequest{PutRowChange: change})
	good(err)
	same(get("t", key(2)), columns{"n": int64(6)})
}

func autoIncrement() {
	meta := &ots.TableMeta{TableName: "auto"}
	meta.AddPrimaryKeyColumn("pk", ots.PrimaryKeyType_STRING)
	meta.AddPrimaryKeyColumnOption("seq", ots.PrimaryKeyType_INTEGER, ots.AUTO_INCREMENT)
	_, err := client.CreateTable(&ots.CreateTableRequest{TableMeta: meta, TableOption: ots.NewTableOption(-1, 1),
		ReservedThroughput: &ots.ReservedThroughput{}})
	good(err)
	var numbers []int64
	for range 3 {
		pk := &ots.PrimaryKey{}
		pk.AddPrimaryKeyColumn("pk", "a")
		pk.AddPrimaryKeyColumnWithAutoIncrement("seq")
		change := putChange("auto", pk, columns{"c": int64(1)}, ots.RowExistenceExpectation_IGNORE)
		change.SetReturnPk()
		answer, err := client.PutRow(&ots.PutRowRequest{PutRowChange: change})
		good(err)
		numbers = append(numbers, answer.PrimaryKey.PrimaryKeys[1].Value.(int64))
	}
	same(slices.IsSorted(numbers) && numbers[0] != numbers[1], true)
}

func batch() {
	request := &ots.BatchWriteRowRequest{}
	for n := 10; n < 20; n++ {
		request.AddRowChange(putChange("t", key(n), columns{"a": int64(n)}, ots.RowExistenceExpectation_IGNORE))
	}
	request.AddRowChange(putChange("t", key(99), columns{"a": int64(1)}, ots.RowExistenceExpectation_EXPECT_EXIST))
	gone := &ots.DeleteRowChange{TableName: "t", PrimaryKey: key(2)}
	gone.SetCondition(ots.RowExistenceExpectation_IGNORE)
	request.AddRowChange(gone)
	answer, err := client.BatchWriteRow(request)
	good(err)
	results := answer.TableToRowsResult["t"]
	same(len(results), 12)
	for _, result := range results {
		same(result.IsSucceed, result.Index != 10)
	}
	same(results[10].Error.Code, "OTSConditionCheckFail")
	same(get("t", key(2)), columns(nil))

	read := &ots.BatchGetRowRequest{}
	criteria := &ots.MultiRowQueryCriteria{TableName: "t", MaxVersion: 1}
	for _, n := range []int{10, 99, 11} {
		criteria.AddRow(key(n))
	}
	read.MultiRowQueryCriteria = append(read.MultiRowQueryCriteria, criteria)
	got, err := client.BatchGetRow(read)
	good(err)
	rows := got.TableToRowsResult["t"]
	same([]int{len(rows[0].Columns), len(rows[1].PrimaryKey.PrimaryKeys), len(rows[2].Columns)}, []int{1, 0, 1})
}

func batchRefused() {
	request := &ots.BatchWriteRowRequest{}
	for range 2 {
		request.AddRowChange(putChange("t", key(50), columns{}, ots.RowExistenceExpectation_IGNORE))
	}
	_, err := client.BatchWriteRow(request)
	refused(err, "OTSParameterInvalid")
	request = &ots.BatchWriteRowRequest{}
	for n := range 201 {
		request.AddRowChange(putChange("t", key(1000+n), columns{}, ots.RowExistenceExpectation_IGNORE))
	}
	_, err = client.BatchWriteRow(request)
	refused(err, "OTSParameterInvalid")
	late := &ots.PutRowChange{TableName: "t", PrimaryKey: key(50)}
	late.AddColumnWithTimestamp("a", int64(1), 1000)
	late.SetCondition(ots.RowExistenceExpectation_IGNORE)
	_, err = client.PutRow(&ots.PutRowRequest{PutRowChange: late})
	refused(err, "OTSParameterInvalid")
	same(get("t", key(50)), columns(nil))
	big := make([]byte, 6<<20)
	refused(put("t", key(50), columns{"a": big}, ots.RowExistenceExpectation_IGNORE), "OTSRequestBodyTooLarge")
}

// scan reads a range page by page and gives the numbers of its keys.
func scan(table string, direction ots.Direction, limit int32) []int {
	start, end := bound(true), bound(false)
	if direction == ots.BACKWARD {
		start, end = end, start
	}
	var seen []int
	for start != nil {
		answer, err := client.GetRange(&ots.GetRangeRequest{RangeRowQueryCriteria: &ots.RangeRowQueryCriteria{
			TableName: table, StartPrimaryKey: start, EndPrimaryKey: end, Direction: direction, MaxVersion: 1,
			Limit: limit}})
		good(err)
		for _, row := range answer.Rows {
			seen = append(seen, int(row.PrimaryKey.PrimaryKeys[0].Value.(int64)))
		}
		start = answer.NextStartPrimaryKey
	}
	return seen
}

func ranges() {
	up := []int{10, 11, 12, 13, 14, 15, 16, 17, 18, 19}
	down := slices.Clone(up)
	slices.Reverse(down)
	same(scan("t", ots.FORWARD, 0), up)
	same(scan("t", ots.FORWARD, 3), up)
	same(scan("t", ots.BACKWARD, 4), down)
	admin("fault", map[string]any{"operation": "GetRange", "kind": "empty_page", "times": 1})
	same(scan("t", ots.FORWARD, 0), up)
	admin("fault", map[string]any{"operation": "GetRange", "kind": "short_page", "times": 4})
	same(scan("t", ots.BACKWARD, 0), down)
	answer, err := client.GetRange(&ots.GetRangeRequest{RangeRowQueryCriteria: &ots.RangeRowQueryCriteria{TableName: "t",
		StartPrimaryKey: key(30), EndPrimaryKey: key(40), Direction: ots.FORWARD, MaxVersion: 1}})
	good(err)
	same(len(answer.Rows), 0)
	same(answer.NextStartPrimaryKey, (*ots.PrimaryKey)(nil))
	// More than a page: 5,000 rows.
	good(create("wide", 1, nil))
	for n := 0; n < 5200; n += 200 {
		request := &ots.BatchWriteRowRequest{}
		for i := range 200 {
			request.AddRowChange(putChange("wide", key(n+i), columns{"a": int64(i)}, ots.RowExistenceExpectation_IGNORE))
		}
		_, err := client.BatchWriteRow(request)
		good(err)
	}
	same(len(scan("wide", ots.FORWARD, 0)), 5200)
	_, err = client.DeleteTable(&ots.DeleteTableRequest{TableName: "wide"})
	good(err)
}

func matrix() {
	answer, err := client.GetRange(&ots.GetRangeRequest{RangeRowQueryCriteria: &ots.RangeRowQueryCriteria{TableName: "t",
		StartPrimaryKey: bound(true), EndPrimaryKey: bound(false), Direction: ots.FORWARD, MaxVersion: 1,
		ColumnsToGet: []string{"a"}, DataBlockType: ots.SimpleRowMatrix}})
	good(err)
	same(answer.DataBlockType, ots.SimpleRowMatrix)
	same(len(answer.Rows), 10)
	same(answer.Rows[9].Columns[0].Value, int64(19))
}

func splitPoints() {
	admin("split", map[string]any{"table": "t", "at": 15})
	unit := int64(1)
	answer, err := client.ComputeSplitPointsBySize(&ots.ComputeSplitPointsBySizeRequest{TableName: "t", SplitSize: 60,
		SplitSizeUnitInByte: &unit})
	good(err)
	same(len(answer.Splits) > 3, true)
	places := map[string]bool{}
	for i, split := range answer.Splits {
		places[split.Location] = true
		if i > 0 {
			same(split.LowerBound, answer.Splits[i-1].UpperBound)
		}
	}
	same(len(places), 2)
}

func index() {
	meta := &ots.TableMeta{TableName: "main"}
	meta.AddPrimaryKeyColumn("gid", ots.PrimaryKeyType_INTEGER)
	meta.AddPrimaryKeyColumn("uid", ots.PrimaryKeyType_STRING)
	meta.AddDefinedColumn("a", ots.DefinedColumn_INTEGER)
	byA := &ots.IndexMeta{IndexName: "by_a"}
	byA.AddPrimaryKeyColumn("a")
	byA.SetAsGlobalIndex()
	_, err := client.CreateTable(&ots.CreateTableRequest{TableMeta: meta, TableOption: ots.NewTableOption(-1, 1),
		ReservedThroughput: &ots.ReservedThroughput{}, IndexMetas: []*ots.IndexMeta{byA}})
	good(err)
	listed, err := client.ListTable()
	good(err)
	same(slices.Contains(listed.TableNames, "by_a"), true)
	told, err := client.DescribeTable(&ots.DescribeTableRequest{TableName: "main"})
	good(err)
	same(told.IndexMetas[0].IndexName, "by_a")
	write("main", 1, columns{"a": int64(7)})
	write("main", 2, columns{"a": int64(6)})
	pk := &ots.PrimaryKey{}
	pk.AddPrimaryKeyColumn("a", int64(7))
	pk.AddPrimaryKeyColumn("gid", int64(1))
	pk.AddPrimaryKeyColumn("uid", "u1")
	same(get("by_a", pk), columns{})
	_, err = client.DeleteIndex(&ots.DeleteIndexRequest{MainTableName: "main", IndexName: "by_a"})
	good(err)
}

func signatureV4() {
	v4 := ots.NewClientWithCredentialsProvider(endpoint, "inst", credentialsV4(), nil)
	listed, err := v4.ListTable()
	good(err)
	same(slices.Contains(listed.TableNames, "t"), true)
	stranger := ots.NewClient(endpoint, "inst", "ak", "wrong")
	_, err = stranger.ListTable()
	refused(err, "OTSAuthFailed")
}

func ttl() {
	_, err := client.UpdateTable(&ots.UpdateTableRequest{TableName: "t", TableOption: ots.NewTableOption(86400, 1)})
	good(err)
	admin("clock", map[string]any{"add_ms": 86_400_000})
	write("t", 100, columns{"a": int64(1)})
	admin("clock", map[string]any{"add_ms": 60_000})
	same(scan("t", ots.FORWARD, 0), []int{100})
	same(get("t", key(10)), columns(nil))
	admin("clock", map[string]any{"shift_ms": 0})
}
