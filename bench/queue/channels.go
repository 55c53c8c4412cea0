// SPDX-License-Identifier: Apache-2.0

// Go's channels, between goroutines: what harness.h does, in its words.
package main

import (
	"fmt"
	"os"
	"sort"
	"strconv"
	"strings"
	"sync"
	"time"
)

const warmUpRounds = 100

var began = time.Now()

func now() time.Duration { return time.Since(began) } // monotonic

func die(what string) {
	fmt.Fprintln(os.Stderr, what)
	os.Exit(1)
}

func rate(producers, consumers, items uint64, channel chan uint64) {
	var ready, ended sync.WaitGroup
	threads := producers + consumers
	start := make(chan bool)
	starts, ends := make([]time.Duration, threads), make([]time.Duration, threads)
	sums := make([]uint64, threads)
	launch := func(index uint64, work func()) {
		ready.Add(1)
		ended.Add(1)
		go func() {
			defer ended.Done()
			ready.Done()
			<-start
			starts[index] = now()
			work()
			ends[index] = now()
		}()
	}
	for i := uint64(0); i < producers; i++ {
		first, count := 1+i*(items/producers), items/producers
		launch(i, func() {
			for value := first; value < first+count; value++ {
				channel <- value
			}
		})
	}
	for i := producers; i < threads; i++ {
		sum, count := &sums[i], items/consumers
		launch(i, func() {
			total := uint64(0)
			for n := uint64(0); n < count; n++ {
				total += <-channel
			}
			*sum = total
		})
	}
	ready.Wait()
	close(start)
	ended.Wait()
	first, last, total := starts[0], ends[0], uint64(0)
	for i := range starts {
		if starts[i] < first {
			first = starts[i]
		}
		if ends[i] > last {
			last = ends[i]
		}
		total += sums[i]
	}
	if total != items*(items+1)/2 {
		die("items were lost or doubled")
	}
	fmt.Printf("%.6f\n", (last - first).Seconds())
}

func pingpong(rounds, capacity uint64, pause time.Duration) {
	there, back := make(chan uint64, capacity), make(chan uint64, capacity)
	go func() {
		for value := range there {
			back <- value
		}
	}()
	times := make([]time.Duration, warmUpRounds+rounds)
	for i := range times {
		if pause > 0 {
			time.Sleep(pause)
		}
		start := now()
		there <- uint64(i)
		if <-back != uint64(i) {
			die("another item came back")
		}
		times[i] = now() - start
	}
	times = times[warmUpRounds:]
	sort.Slice(times, func(a, b int) bool { return times[a] < times[b] })
	for _, thousandths := range []uint64{500, 990, 999} {
		fmt.Printf("%.2f ", float64(times[rounds*thousandths/1000].Nanoseconds())/1e3)
	}
	fmt.Println()
}

func number(text string) uint64 {
	value, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		die(text + " is no number")
	}
	return value
}

func main() {
	producers, consumers, items := number(os.Args[1]), number(os.Args[2]), number(os.Args[3])
	mode, capacity, pause := "rate", uint64(65536), time.Duration(0)
	for _, option := range os.Args[4:] {
		name, value, _ := strings.Cut(option, "=")
		switch name {
		case "MODE":
			mode = value
		case "CAPACITY":
			capacity = number(value)
		case "PAUSE_US":
			pause = time.Duration(number(value)) * time.Microsecond
		default:
			die("this queue has no option " + option)
		}
	}
	switch mode {
	case "rate":
		rate(producers, consumers, items, make(chan uint64, capacity))
	case "pingpong":
		pingpong(items, capacity, pause)
	default:
		die("this queue has no mode " + mode)
	}
}
