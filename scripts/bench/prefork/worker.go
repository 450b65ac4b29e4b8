//go:build linux

package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/tinehq/tine/scripts/bench/gate"
	_ "modernc.org/sqlite" // cmd/demo has it too: both take the same time to come up
)

// value is the cached value, as a program by hand would have it.
var value atomic.Pointer[string]

func work() error {
	l, err := net.FileListener(os.NewFile(3, "slot"))
	if err != nil {
		return err
	}
	go func() { // the master is gone
		_, _ = os.Stdin.Read(make([]byte, 1))
		os.Exit(0)
	}()
	none := "none"
	value.Store(&none)
	pid := os.Getpid()
	pass := func() {}
	if v := os.Getenv(handlerVariable); v != "" {
		takes, err := time.ParseDuration(v)
		if err != nil {
			return err
		}
		pass = gate.New(takes).Pass
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/{$}", func(rw http.ResponseWriter, r *http.Request) {
		pass()
		rw.Header().Set("Content-Type", "text/plain; charset=utf-8")
		fmt.Fprintf(rw, "Handled by process %d.", pid)
		fmt.Fprintf(rw, "Cached value: %s", *value.Load())
	})
	mux.HandleFunc("/upload", upload)
	server := &http.Server{Handler: mux}
	terminate := make(chan os.Signal, 1)
	signal.Notify(terminate, syscall.SIGTERM)
	down := make(chan error, 1)
	go func() {
		<-terminate
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		defer cancel()
		down <- server.Shutdown(ctx)
	}()
	ready := os.NewFile(4, "ready")
	_, _ = ready.Write([]byte{1})
	ready.Close()
	if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return <-down
}

func upload(rw http.ResponseWriter, r *http.Request) {
	h := sha256.New()
	n, err := io.Copy(h, r.Body)
	if err != nil {
		http.Error(rw, err.Error(), http.StatusBadRequest)
		return
	}
	fmt.Fprintf(rw, "%d %s\n", n, hex.EncodeToString(h.Sum(nil)))
}
