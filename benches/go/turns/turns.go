// Package turns lets a program take its turns in a race that another process holds.
package turns

import (
	"bufio"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// Take reads "THREADS TIMES" a line and answers each with the nanoseconds that op took, when so
// many goroutines did it, each so many times. op is told how often this goroutine did it before.
func Take(op func(int)) {
	in := bufio.NewReader(os.Stdin)
	for {
		var threads, often int
		if _, err := fmt.Fscan(in, &threads, &often); err != nil {
			return
		}
		fmt.Println(turn(int64(threads), often, op))
	}
}

// turn starts the goroutines together, lets them warm up, and lets them go on until the last of
// them has measured, so that none of them is ever measured alone.
func turn(threads int64, often int, op func(int)) float64 {
	var ready, done, nanos atomic.Int64
	var all sync.WaitGroup
	batch := func(from, often int) {
		for at := 0; at < often; at++ {
			op(from + at)
		}
	}
	for i := int64(0); i < threads; i++ {
		all.Add(1)
		go func() {
			defer all.Done()
			batch(0, (often+7)/8)
			ready.Add(1)
			for ready.Load() < threads {
			}
			start := time.Now()
			batch(often, often)
			nanos.Add(int64(time.Since(start)))
			done.Add(1)
			for done.Load() < threads {
				batch(0, (often+63)/64)
			}
		}()
	}
	all.Wait()
	return float64(nanos.Load()) / float64(threads) / float64(often)
}
