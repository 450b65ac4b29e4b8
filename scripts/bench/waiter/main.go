//go:build linux

// Command waiter is the service that the sections about steering and standbys run: each of its answers takes a while
// without using the CPU, and signals make a worker of it accept and not answer.
//
//	SIGUSR1                         answer nothing from now on
//	SIGUSR2                         answer again, what waits included
//	WAITER_HANDLER=3ms              how long each answer takes; at once if empty
//	WAITER_START_DELAY=2s           how long it needs before it asks for its sockets
package main

import (
	"fmt"
	"net/http"
	"os"
	"time"

	"github.com/tinehq/tine/scripts/bench/gate"
	"github.com/tinehq/tine/worker"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "waiter:", err)
		os.Exit(1)
	}
}

func run() error {
	takes, err := duration("WAITER_HANDLER")
	if err != nil {
		return err
	}
	delay, err := duration("WAITER_START_DELAY")
	if err != nil {
		return err
	}
	g := gate.New(takes)
	w, err := worker.Start(worker.WithListen("127.0.0.1:7000"))
	if err != nil {
		return err
	}
	time.Sleep(delay)
	fmt.Printf("initialised %d\n", os.Getpid())
	answer := fmt.Appendf(nil, "Handled by process %d.Cached value: none", os.Getpid())
	return w.Serve(http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
		g.Pass()
		_, _ = rw.Write(answer)
	}))
}

func duration(name string) (time.Duration, error) {
	v := os.Getenv(name)
	if v == "" {
		return 0, nil
	}
	d, err := time.ParseDuration(v)
	if err != nil {
		return 0, fmt.Errorf("%s=%s is not a duration like 3ms", name, v)
	}
	return d, nil
}
