//go:build linux

package main

import (
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/tinehq/tine/ipc/eventually"
)

// listening is how many sockets of all processes listen on a port of 127.0.0.1.
func listening(t *testing.T, address string) (n int) {
	t.Helper()
	_, digits, _ := strings.Cut(address, ":")
	var port uint16
	if _, err := fmt.Sscan(digits, &port); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile("/proc/net/tcp")
	if err != nil {
		t.Fatal(err)
	}
	local := fmt.Sprintf("0100007F:%04X", port)
	for line := range strings.Lines(string(text)) {
		if f := strings.Fields(line); len(f) > 3 && f[1] == local && f[3] == "0A" { // TCP_LISTEN
			n++
		}
	}
	return n
}

// TestKeptScales: the keeper holds no socket of a slot that is gone: its connections would never be accepted.
func TestKeptScales(t *testing.T) {
	for _, kind := range allKinds {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			m := startReady(t, steered(2, "steering: "+kind, "$CALM"), kept)
			m.of(kind)
			l := m.steadily(2)
			for range 2 {
				mark := m.mark()
				m.signal(syscall.SIGTTIN)
				m.awaitFrom(mark, func(e event) bool { return e.Message == "ready" && e.Slot == 2 })
				m.signal(syscall.SIGTTOU)
				m.awaitFrom(mark, is("retired"))
				eventually.True(t, "two sockets listen", func() bool { return listening(t, m.address()) == 2 })
			}
			l.lossless(t)
			m.stop()
		})
	}
}
