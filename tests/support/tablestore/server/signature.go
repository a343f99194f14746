// Signatures of requests and answers, v2 and v4, over whatever x-ots headers there are.
package main

import (
	"crypto/hmac"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"hash"
	"net/http"
	"slices"
	"strings"
)

const (
	headerSignature   = "x-ots-signature"
	headerSignatureV4 = "x-ots-signaturev4"
)

// Names are lower case, values as they came.
type headers map[string]string

func otsHeaders(h http.Header) headers {
	found := headers{}
	for name, values := range h {
		if lower := strings.ToLower(name); strings.HasPrefix(lower, "x-ots-") && len(values) > 0 {
			found[lower] = strings.TrimSpace(values[0])
		}
	}
	return found
}

func (h headers) canonical(except ...string) string {
	names := make([]string, 0, len(h))
	for name := range h {
		if !slices.Contains(except, name) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	var b strings.Builder
	for _, name := range names {
		b.WriteString(name + ":" + h[name] + "\n")
	}
	return b.String()
}

func mac(of func() hash.Hash, key, text string) []byte {
	m := hmac.New(of, []byte(key))
	m.Write([]byte(text))
	return m.Sum(nil)
}

func md5Text(body []byte) string {
	sum := md5.Sum(body)
	return base64.StdEncoding.EncodeToString(sum[:])
}

// signingKey is the key of v4: base64 text, used as it stands.
func signingKey(secret, date, region string) string {
	key := "aliyun_v4" + secret
	for _, step := range []string{date, region, "ots", "aliyun_v4_request"} {
		key = string(mac(sha256.New, key, step))
	}
	return base64.StdEncoding.EncodeToString([]byte(key))
}

// signRequest gives the signature that belongs on a request, and the key that its answer is signed with.
func signRequest(path, secret string, h headers) (name, signature, key string) {
	text := path + "\nPOST\n\n" + h.canonical(headerSignature, headerSignatureV4)
	if _, v4 := h[headerSignatureV4]; v4 {
		key = signingKey(secret, h["x-ots-signdate"], h["x-ots-signregion"])
		return headerSignatureV4, base64.StdEncoding.EncodeToString(mac(sha256.New, key, text+"ots")), key
	}
	return headerSignature, base64.StdEncoding.EncodeToString(mac(sha1.New, secret, text)), secret
}

func signAnswer(path, key string, h headers) string {
	return base64.StdEncoding.EncodeToString(mac(sha1.New, key, h.canonical()+path))
}
