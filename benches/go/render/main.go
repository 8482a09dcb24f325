// The handler of /debug/vars, writing 10,000 Ints into a buffer that is used again.
package main

import (
	"bytes"
	"expvar"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"

	"expvar-benches/turns"
)

type response struct {
	header http.Header
	body   bytes.Buffer
}

func (r *response) Header() http.Header                { return r.header }
func (r *response) WriteHeader(int)                    {}
func (r *response) Write(part []byte) (n int, e error) { return r.body.Write(part) }

func main() {
	for at := 0; at < 10000; at++ {
		expvar.NewInt(fmt.Sprintf("service.requests.%05d", at)).Set(int64(at) * 1234)
	}
	handler := expvar.Handler()
	request := httptest.NewRequest("GET", "/debug/vars", nil)
	answer := &response{header: http.Header{}}
	turns.Take(func(int) {
		answer.body.Reset()
		handler.ServeHTTP(answer, request)
		if answer.body.Len() < 10000*len("\"service.requests.00000\": 0,\n") {
			fmt.Fprintln(os.Stderr, "the handler left something out")
			os.Exit(1)
		}
	})
}
