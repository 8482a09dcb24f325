// Map.Add on keys that are there.
package main

import (
	"expvar"
	"fmt"
	"strings"

	"expvar-benches/turns"
)

func main() {
	var keys [16]string
	routes := new(expvar.Map).Init()
	for at := range keys {
		keys[at] = fmt.Sprintf("/api%s/%d", strings.Repeat("/things", at%4), at)
		routes.Add(keys[at], 1)
	}
	turns.Take(func(at int) { routes.Add(keys[at%len(keys)], 1) })
}
