// Bytes that official encoders and signers made.
package main

import (
	"encoding/hex"
	"testing"
)

var rowVectors = map[string]string{
	"key of three types":    "750000000103040300000067696405090000000001000000000000000a2a030403000000756964050c0000000307000000757365722dc3a90a5103040300000062696e0507000000070200000000ff0ae809f6",
	"put of all types":      "750000000103040300000067696405090000000001000000000000000a2a030403000000756964050c0000000307000000757365722dc3a90a5103040300000062696e0507000000070200000000ff0ae80203040100000069050900000000feffffffffffffff0a8003040100000064050900000001000000000000f83f0aba03040100000062050200000002010a3e030401000000730509000000030400000068e4b8ad0aa5030401000000780507000000070200000001020a47030404000000695f74730509000000000700000000000000077b68e5cf8b0100000aec098d",
	"put of no attributes":  "7500000001030402000000706b05090000000001000000000000000a4c09a7",
	"auto increment":        "7500000001030402000000706b05060000000301000000610ad403040300000073657105010000000b0a8b020304010000006305090000000001000000000000000ace0949",
	"update of every kind":  "7500000001030402000000706b05090000000001000000000000000a4c020304010000006105060000000301000000760a67030401000000740509000000000500000000000000077b68e5cf8b0100000a54030401000000620603077b68e5cf8b0100000abe0304010000006306010acd0304010000006e050900000000030000000000000006040a11093f",
	"range bound, lowest":   "75000000010304030000006769640501000000090a560304030000007569640501000000090a1d09e7",
	"range bound, highest":  "750000000103040300000067696405010000000a0a5f03040300000075696405010000000a0a140960",
	"range bound, in parts": "750000000103040300000067696405090000000007000000000000000a400304030000007569640501000000090a1d0938",
}

func TestRowsAreReadAndWrittenAsTheSDKsDo(t *testing.T) {
	for name, text := range rowVectors {
		data, _ := hex.DecodeString(text)
		var row WireRow
		if err := readRow(data, &row); err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if again := hex.EncodeToString(rewrite(&row, nil)); again != text {
			t.Errorf("%s: written as %s", name, again)
		}
		if err := readRow(append(data, 0, 0, 0), &row); err != nil {
			t.Errorf("%s: with padding: %v", name, err)
		}
		for i := range data {
			data[i] ^= 0x10
			if err := readRow(data, &row); err == nil {
				t.Errorf("%s: byte %d changed, and nobody minds", name, i)
			}
			data[i] ^= 0x10
		}
	}
	marked, _ := hex.DecodeString("7500000001030402000000706b05090000000001000000000000000a4c0809a0")
	var row WireRow
	if err := readRow(marked, &row); err != nil || !row.Delete {
		t.Errorf("delete marker: %v", err)
	}
}

func rewrite(row *WireRow, sequence *Sequence) []byte {
	p := plainRow{buf: plainStart(nil)}
	var names []string
	var key []Value
	for i := range row.Key {
		names, key = append(names, row.Key[i].Name), append(key, row.Key[i].Value)
	}
	p.key(names, key)
	for i := range row.Cells {
		cell := &row.Cells[i]
		var value *Value
		var time *int64
		if cell.HasValue {
			value = &cell.Value
		}
		if cell.HasTime {
			time = &cell.Time
		}
		p.cell(cell.Name, value, cell.Op, time)
	}
	p.end(sequence)
	return p.buf
}

func TestAStreamRecordCarriesItsSequence(t *testing.T) {
	time := int64(1700000000123)
	p := plainRow{buf: plainStart(nil)}
	p.key([]string{"pk"}, []Value{integer(1)})
	p.cell("c", &Value{Kind: kindString, Bytes: []byte("x")}, opPut, &time)
	p.end(&Sequence{Micros: 1700000000123456})
	want := "7500000001030402000000706b05090000000001000000000000000a4c02030401000000630506000000030100000078077b68e5cf8b0100000ac30b180000000c130000000d000000000e40222018240a06000f0000000009ae"
	if got := hex.EncodeToString(p.buf); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestSignatures(t *testing.T) {
	h := headers{"x-ots-accesskeyid": "testAk", "x-ots-apiversion": "2015-12-31",
		"x-ots-contentmd5": "1B2M2Y8AsgTpgAmY7PhCfg==", "x-ots-date": "2026-01-02T03:04:05.000Z",
		"x-ots-instancename": "inst"}
	if _, signature, _ := signRequest("/ListTable", "testSecret", h); signature != "z+2+5A0ailVRflwAJSfJ5SrPE8I=" {
		t.Errorf("v2: %s", signature)
	}
	h["x-ots-signdate"], h["x-ots-signregion"], h[headerSignatureV4] = "20260102", "cn-hangzhou", "?"
	_, signature, key := signRequest("/ListTable", "testSecret", h)
	if key != "7wLOEPuesciGDGEbKGwck5TcO+aq2aro3brhsQUfz+o=" ||
		signature != "B2OHYsvPOerUKQbAcjy2spKgWXucnq505ii5DUgyvfg=" {
		t.Errorf("v4: %s %s", key, signature)
	}
	told := headers{"x-ots-contentmd5": "1B2M2Y8AsgTpgAmY7PhCfg==", "x-ots-contenttype": "protocol buffer",
		"x-ots-date": "2026-01-02T03:04:06.000000Z", "x-ots-requestid": "0005a0b0-0000-0000-0000-000000000001"}
	if signature := signAnswer("/ListTable", "testSecret", told); signature != "hd2aJ3e1rPftpXN8uevfwpQuucI=" {
		t.Errorf("answer, v2: %s", signature)
	}
	if signature := signAnswer("/ListTable", key, told); signature != "p9WE3h1d4u1guumohgpKcxCQFQY=" {
		t.Errorf("answer, v4: %s", signature)
	}
}

func TestMatrixAsTheGoSDKReadsIt(t *testing.T) {
	table := &Table{keyNames: []string{"pk", "uid"}, options: options{maxVersions: 1, ttlSeconds: -1}}
	text := func(s string) Value { return Value{Kind: kindString, Bytes: []byte(s)} }
	double := func(bits uint64) Value { return Value{Kind: kindDouble, Bits: bits} }
	p := page{rows: []*Row{
		{Primary: []Value{integer(1), text("a")}, Columns: []Column{{"c", []Cell{{1, text("x")}}},
			{"d", []Cell{{1, double(0x3FF8000000000000)}}}}},
		{Primary: []Value{integer(2), text("b")}, Columns: []Column{{"d", []Cell{{1, double(0x4004000000000000)}}}}},
	}}
	one := int32(1)
	v, failed := table.view(viewRequest{columns: []string{"c", "d"}, maxVersions: &one}, moment{})
	if failed != nil {
		t.Fatal(failed)
	}
	want := "53524d302a0000002300000002000000020000000200706b03007569640100630100640a0103020000000200010000000000000003010000006103010000007801000000000000f83f020002000000000000000301000000620601000000000000044001b8"
	if got := hex.EncodeToString(p.matrix(v, []string{"c", "d"})); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}
