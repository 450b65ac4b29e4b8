//go:build linux

// Command prefork is what Tine is measured against: the smallest prefork server that one would write by hand. One
// SO_REUSEPORT socket a worker, opened by the master and inherited at exec, so that a dead worker's queue is kept; a
// worker that exits is started again at once; SIGUSR2 replaces them one by one with http.Server.Shutdown.
//
//	prefork -listen 127.0.0.1:7000 -n 4 [-procs 1] [-pin]
package main

import (
	"flag"
	"fmt"
	"os"
)

// slotVariable tells a worker that it is one, and which.
const slotVariable = "PREFORK_SLOT"

// handlerVariable is how long each answer takes, if it is set; SIGUSR1 and SIGUSR2 then make a worker stuck and free it.
const handlerVariable = "PREFORK_HANDLER"

func main() {
	listen := flag.String("listen", "127.0.0.1:7000", "address")
	workers := flag.Int("n", 4, "workers")
	procs := flag.Int("procs", 0, "GOMAXPROCS of a worker; 0: Go's own")
	pin := flag.Bool("pin", false, "keep each worker on one CPU")
	flag.Parse()
	var err error
	if os.Getenv(slotVariable) != "" {
		err = work()
	} else {
		m := &master{listen: *listen, procs: *procs, pin: *pin, slots: make([]slot, *workers)}
		err = m.run()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "prefork:", err)
		os.Exit(1)
	}
}
