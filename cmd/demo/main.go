// Command demo is the service that Tine's quickstart, tests and benches run: it shows its process and a cached value,
// and can be made to misbehave in every way that a supervisor must cope with.
//
//	demo -listen :7000              alone
//	demo -db users.db               under `tine run`, with POST /users on that database
//	demo -setup -db users.db        create the database with 50 users and exit
//
// The environment can spoil its start, for tests of the supervisor:
//
//	DEMO_START_DELAY=200ms          wait before attaching to the master
//	DEMO_NEVER_READY=1              attach but never say ready
//	DEMO_EXIT_AFTER=1s              exit unasked, this long after the start (0s: before attaching)
//	DEMO_EXIT_CODE=3                with this code
//
// and have it print, to see whether all of it arrives:
//
//	DEMO_PRINT=100                  numbered lines a second to stderr, now and then one in two halves
//	DEMO_PRINT_COUNTS=DIR           leave in DIR/PID how many were written: 8 bytes, little endian
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"

	"github.com/tinehq/tine/worker"
)

func main() {
	listen := flag.String("listen", ":7000", "address when there is no master")
	db := flag.String("db", "", "SQLite file with the table users; none if empty")
	setup := flag.Bool("setup", false, "create the database, if missing, and exit")
	flag.Parse()
	if err := run(*listen, *db, *setup); err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

func run(listen, db string, setup bool) error {
	store := &users{path: db}
	if setup {
		if db == "" {
			return fmt.Errorf("-setup needs -db")
		}
		return store.setup()
	}
	spoil, err := spoilFromEnv()
	if err != nil {
		return err
	}
	printer, err := printerFromEnv()
	if err != nil {
		return err
	}
	spoil.beforeStart()

	opts := []worker.Option{worker.WithListen(listen)}
	if spoil.neverReady {
		opts = append(opts, worker.WithManualReady())
	}
	w, err := worker.Start(opts...)
	if err != nil {
		return err
	}
	defer store.close()
	s := newService(w, store)
	printMessages(w)
	if _, err := w.Listeners(); err != nil {
		return err
	}
	fmt.Printf("Started process %d\n", os.Getpid())
	spoil.afterStart()
	if err := printer.run(); err != nil {
		return err
	}
	return w.Serve(s.routes())
}

// printMessages shows what the master tells, as JSON.
func printMessages(w *worker.Worker) {
	show := func(v any) {
		if b, err := json.Marshal(v); err == nil {
			fmt.Printf("Message received from master: %s\n", b)
		}
	}
	w.OnMessage(func(m worker.Message) {
		var v any
		if m.Decode(&v) != nil {
			v = string(m.Data)
		}
		show(v)
	})
	w.Watch(usersKey, func(c worker.Change) {
		var v any
		if !c.Deleted && c.Decode(&v) == nil {
			show(map[string]any{usersKey: v})
		}
	})
}
