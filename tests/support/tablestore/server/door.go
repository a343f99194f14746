// The door: HTTP in, signature checked, verb called, answer signed.
package main

import (
	"bytes"
	"compress/zlib"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/aliyun/aliyun-tablestore-go-sdk/tablestore/otsprotocol"
	"github.com/golang/protobuf/proto"
)

const (
	largestBody = 5 << 20
	// A request whose date is further off is refused.
	farthestDate = 15 * time.Minute
	answerDate   = "2006-01-02T15:04:05.000000Z"
)

type Door struct {
	world    *World
	keyID    string
	secret   string
	faults   Faults
	pace     pace
	bench    *Bench
	clock    func() time.Time
	requests atomic.Int64
	measured atomic.Pointer[measure]
}

func newDoor(world *World, keyID, secret string) *Door {
	d := &Door{world: world, keyID: keyID, secret: secret, clock: time.Now}
	d.reset()
	return d
}

// visit is one request at the door.
type visit struct {
	path    string // with its slash, as it is signed
	verb    string
	headers headers
	raw     []byte // as sent
	body    []byte // without compression
	key     string // for the answer's signature
	skewMs  int64
	number  int64
}

func (d *Door) ServeHTTP(out http.ResponseWriter, in *http.Request) {
	number := d.requests.Add(1)
	if strings.HasPrefix(in.URL.Path, "/_admin/") {
		d.admin(out, in)
		return
	}
	v := &visit{path: in.URL.Path, verb: strings.TrimPrefix(in.URL.Path, "/"), headers: otsHeaders(in.Header),
		key: d.secret, number: number}
	var failed *failure
	if v.raw, failed = readBody(in); failed == nil {
		v.skewMs = d.faults.skew(v.verb)
		failed = d.admit(v, in.Method)
	}
	if failed != nil {
		d.fail(out, v, failed)
		return
	}
	if d.bench != nil && d.bench.serve(d, out, v) {
		return
	}
	d.carryOut(out, v)
}

func readBody(in *http.Request) ([]byte, *failure) {
	var body []byte
	var err error
	if in.ContentLength > 0 && in.ContentLength <= largestBody {
		body = make([]byte, in.ContentLength)
		_, err = io.ReadFull(in.Body, body)
	} else {
		body, err = io.ReadAll(in.Body)
	}
	if err != nil {
		return nil, invalid("The body ends too early.")
	}
	if len(body) > largestBody {
		return nil, refuse("OTSRequestBodyTooLarge", "The size of the request body exceeds %d.", largestBody)
	}
	return body, nil
}

// admit checks who asks and that the request came as it was sent.
func (d *Door) admit(v *visit, method string) *failure {
	h := v.headers
	if method != http.MethodPost {
		return refuse("OTSMethodNotAllowed", "Only POST is allowed.")
	}
	for _, name := range []string{"x-ots-date", "x-ots-apiversion", "x-ots-accesskeyid", "x-ots-instancename",
		"x-ots-contentmd5"} {
		if h[name] == "" {
			return invalid("Missing header: %s.", name)
		}
	}
	if version := h["x-ots-apiversion"]; version != "2015-12-31" && version != "2018-04-01" {
		return invalid("Invalid API version: %s.", version)
	}
	if h["x-ots-accesskeyid"] != d.keyID {
		return refuse("OTSAuthFailed", "The AccessKeyID does not exist.")
	}
	name, signature, key := signRequest(v.path, d.secret, h)
	if h[name] != signature {
		return refuse("OTSAuthFailed", "Signature mismatch.")
	}
	v.key = key
	if h["x-ots-instancename"] != d.world.instance {
		return refuse("OTSAuthFailed", "The instance is not found.")
	}
	sent, err := requestDate(h["x-ots-date"])
	if err != nil {
		return invalid("Invalid date: %s.", h["x-ots-date"])
	}
	if off := d.now(v).Sub(sent).Abs(); off > farthestDate {
		return refuse("OTSAuthFailed", "Mismatch between system time and x-ots-date: %s.", h["x-ots-date"])
	}
	if h["x-ots-contentmd5"] != md5Text(v.raw) {
		return invalid("The MD5 of the body does not match.")
	}
	v.body = v.raw
	if h["x-ots-request-compress-type"] != "" {
		return v.inflate()
	}
	return nil
}

// requestDate ignores the fraction: Go writes nonsense there.
func requestDate(text string) (time.Time, error) {
	whole, fraction, found := strings.Cut(strings.TrimSuffix(text, "Z"), ".")
	if found && strings.Trim(fraction, "0123456789") != "" {
		return time.Time{}, fmt.Errorf("not a fraction: %s", fraction)
	}
	return time.Parse("2006-01-02T15:04:05", whole)
}

func (d *Door) now(v *visit) time.Time {
	return d.clock().UTC().Add(time.Duration(v.skewMs) * time.Millisecond)
}

func (v *visit) inflate() *failure {
	if v.headers["x-ots-request-compress-type"] != "deflate" {
		return invalid("Unknown compression.")
	}
	reader, err := zlib.NewReader(bytes.NewReader(v.raw))
	if err == nil {
		v.body, err = io.ReadAll(io.LimitReader(reader, largestBody+1))
	}
	if err != nil || fmt.Sprint(len(v.body)) != v.headers["x-ots-request-compress-size"] {
		return invalid("The compressed body does not have the size it tells.")
	}
	if len(v.body) > largestBody {
		return refuse("OTSRequestBodyTooLarge", "The size of the request body exceeds %d.", largestBody)
	}
	return nil
}

func (d *Door) carryOut(out http.ResponseWriter, v *visit) {
	act, known := verbs[v.verb]
	if !known {
		d.fail(out, v, refuse("OTSUnsupportOperation", "Unsupported operation: %s.", v.verb))
		return
	}
	request, err := act.read(v.body)
	if err != nil && !(lacksOnlyFields(err) && v.verb == "BulkImport") {
		d.fail(out, v, invalid("The body is not the message of %s: %v.", v.verb, err))
		return
	}
	if failed := d.pace.table(v.verb, d.world); failed != nil {
		d.fail(out, v, failed)
		return
	}
	fault := d.faults.take(v.verb, request)
	c := &call{}
	if fault != nil {
		if fault.before(d, out, v, c) {
			return
		}
	}
	answer, failed := d.world.do(v.verb, act, request, v.body, c)
	if fault != nil && fault.after(out) {
		return
	}
	if failed != nil {
		d.fail(out, v, failed)
		return
	}
	body, err := proto.Marshal(answer)
	if err != nil && !lacksOnlyFields(err) {
		panic(err)
	}
	d.answer(out, v, http.StatusOK, body, md5Text(body), fault)
}

func (d *Door) fail(out http.ResponseWriter, v *visit, failed *failure) {
	body, _ := proto.Marshal(&otsprotocol.Error{Code: &failed.code, Message: &failed.message})
	d.answer(out, v, failed.number(), body, md5Text(body), nil)
}

func (d *Door) answer(out http.ResponseWriter, v *visit, number int, body []byte, sum string, fault *Fault) {
	told := headers{
		"x-ots-date":        d.now(v).Format(answerDate),
		"x-ots-requestid":   fmt.Sprintf("0005a0b0-%04x-%04x-0000-%012x", v.number>>16&0xFFFF, v.number&0xFFFF, v.number),
		"x-ots-contenttype": "protocol buffer",
		"x-ots-contentmd5":  sum,
	}
	sent := body
	if v.headers["x-ots-response-compress-type"] == "deflate" && len(body) > 0 {
		var small bytes.Buffer
		writer := zlib.NewWriter(&small)
		writer.Write(body)
		writer.Close()
		sent = small.Bytes()
		told["x-ots-response-compress-type"] = "deflate"
		told["x-ots-response-compress-size"] = fmt.Sprint(len(body))
	}
	signature := signAnswer(v.path, v.key, told)
	if fault != nil {
		sent, signature = fault.spoil(sent, signature)
	}
	h := out.Header()
	for name, value := range told {
		h[name] = []string{value}
	}
	h["Authorization"] = []string{"OTS " + d.keyID + ":" + signature}
	h["Content-Length"] = []string{fmt.Sprint(len(sent))}
	h["Content-Type"] = nil
	out.WriteHeader(number)
	out.Write(sent)
}
