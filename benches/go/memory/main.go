// Command memory reads runtime.MemStats of a large program, and measures what that costs another
// goroutine that allocates meanwhile.
package main

import (
	"fmt"
	"runtime"
	"sort"
	"sync"
	"time"
)

const (
	blocks     = 10_000_000
	blockBytes = 107
	threads    = 64
	reads      = 1001
	allocating = 5 * time.Second
	pause      = 10 * time.Millisecond
)

var sink []byte

func longest() (time.Duration, time.Duration) {
	taken := make([]uint32, 1<<20)
	var most time.Duration
	at := 0
	start := time.Now()
	for before := start; before.Sub(start) < allocating; {
		sink = make([]byte, 64)
		now := time.Now()
		pair := now.Sub(before)
		if pair > most {
			most = pair
		}
		taken[at%len(taken)] = uint32(pair)
		at++
		before = now
	}
	if at < len(taken) {
		taken = taken[:at]
	}
	sort.Slice(taken, func(i, j int) bool { return taken[i] < taken[j] })
	return most, time.Duration(taken[len(taken)-1-len(taken)/10_000])
}

func main() {
	held := make([][]byte, blocks)
	for i := range held {
		held[i] = make([]byte, blockBytes)
	}
	var ready sync.WaitGroup
	for i := 0; i < threads-1; i++ {
		ready.Add(1)
		go func() {
			runtime.LockOSThread()
			ready.Done()
			select {}
		}()
	}
	ready.Wait()

	var stats runtime.MemStats
	taken := make([]time.Duration, reads)
	for i := range taken {
		start := time.Now()
		runtime.ReadMemStats(&stats)
		taken[i] = time.Since(start)
	}
	sort.Slice(taken, func(i, j int) bool { return taken[i] < taken[j] })
	micros := func(time time.Duration) float64 { return float64(time.Nanoseconds()) / 1e3 }
	fmt.Printf("| Go's runtime.ReadMemStats, which stops the world (%s) | measured |\n|---|---:|\n", runtime.Version())
	fmt.Printf("| median | %.0f µs |\n| 99 %% | %.0f µs |\n\n", micros(taken[reads/2]), micros(taken[reads*99/100]))

	quiet, quietMost := longest()
	stop := make(chan bool)
	go func() {
		for {
			select {
			case <-stop:
				return
			case <-time.After(pause):
				runtime.ReadMemStats(&stats)
			}
		}
	}()
	read, readMost := longest()
	close(stop)
	fmt.Printf("| another goroutine's allocations | longest | 99.99 %% |\n|---|---:|---:|\n")
	fmt.Printf("| nobody reads | %.0f µs | %.2f µs |\n", micros(quiet), micros(quietMost))
	fmt.Printf("| 100 reads a second | %.0f µs | %.2f µs |\n", micros(read), micros(readMost))
	runtime.KeepAlive(held)
}
