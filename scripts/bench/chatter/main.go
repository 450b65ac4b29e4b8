//go:build linux

// Command chatter is the service that the section about logs runs: a worker that prints, and serves nothing.
//
//	CHATTER_LINES=1000       numbered lines a second, each in a write of its own
//	CHATTER_COUNT=5000       how many in all; 0: no end
//	CHATTER_BYTES=100        the length of a line with its newline
//	CHATTER_FLOOD=200        megabytes a second in large writes, instead
//	CHATTER_STAMP=1          lines carry the time at which they were written, in ns
//
// It begins at SIGUSR1, so that many of them can begin together.
package main

import (
	"bytes"
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"

	"github.com/tinehq/tine/worker"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "chatter:", err)
		os.Exit(1)
	}
}

func run() error {
	start := make(chan os.Signal, 1)
	signal.Notify(start, syscall.SIGUSR1)
	w, err := worker.Start(worker.WithListen("127.0.0.1:7000"))
	if err != nil {
		return err
	}
	lines, count, size, flood := number("CHATTER_LINES"), number("CHATTER_COUNT"), max(number("CHATTER_BYTES"), 40), number("CHATTER_FLOOD")
	go func() {
		<-start
		if flood > 0 {
			pour(flood, size)
			return
		}
		print(lines, count, size, os.Getenv("CHATTER_STAMP") != "")
	}()
	return w.Serve(http.NotFoundHandler())
}

func number(name string) int {
	n, _ := strconv.Atoi(os.Getenv(name))
	return n
}

// print keeps the rate on average: a line that is late is followed by the next at once.
func print(rate, count, size int, stamp bool) {
	pid := os.Getpid()
	began := time.Now()
	var line []byte
	for n := 0; count == 0 || n < count; n++ {
		if rate > 0 {
			time.Sleep(time.Until(began.Add(time.Duration(n) * time.Second / time.Duration(rate))))
		}
		line = fmt.Appendf(line[:0], "chat %d %d ", pid, n)
		if stamp {
			line = fmt.Appendf(line, "%d ", time.Now().UnixNano())
		}
		for len(line) < size-1 {
			line = append(line, 'x')
		}
		_, _ = os.Stdout.Write(append(line, '\n'))
	}
	fmt.Printf("chatted %d %d in %s\n", pid, count, time.Since(began))
}

func pour(rate, size int) {
	line := append(bytes.Repeat([]byte("x"), size-1), '\n')
	block := bytes.Repeat(line, max(64<<10/size, 1))
	began := time.Now()
	for sent := 0; ; sent += len(block) {
		time.Sleep(time.Until(began.Add(time.Duration(float64(sent) / float64(rate) / 1e6 * 1e9))))
		_, _ = os.Stdout.Write(block)
	}
}
