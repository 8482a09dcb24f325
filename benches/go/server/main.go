// A server of 200 Ints and what expvar publishes by itself; it prints its address.
package main

import (
	"expvar"
	"fmt"
	"log"
	"net"
	"net/http"
)

func main() {
	for at := 0; at < 200; at++ {
		expvar.NewInt(fmt.Sprintf("service.requests.%03d", at)).Set(int64(at) * 1234)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(listener.Addr())
	log.Fatal(http.Serve(listener, nil))
}
