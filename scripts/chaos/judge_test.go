package main

import (
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/tinehq/tine/scripts/internal/rawhttp"
)

func TestVerdict(t *testing.T) {
	start := time.Now()
	at := func(ms int) time.Time { return start.Add(time.Duration(ms) * time.Millisecond) }
	held, other := netip.MustParseAddrPort("127.0.1.1:1111"), netip.MustParseAddrPort("127.0.1.2:1111")
	// A worker is killed from 100 to 110 ms; it had one connection.
	for _, c := range []struct {
		name       string
		local      netip.AddrPort
		begun, end int
		outcome    rawhttp.Outcome
		idle       time.Duration
		firstByte  bool
		want       string
	}{
		{"in flight in it", held, 50, 105, rawhttp.Reset, 0, false, "in flight"},
		{"its answer was cut", held, 50, 105, rawhttp.Cut, 0, true, "in flight"},
		{"sent while it died", held, 109, 120, rawhttp.EOF, 0, false, "in flight"},
		{"sent after it had died", held, 111, 120, rawhttp.EOF, 0, false, "lost"},
		{"failed before", held, 50, 99, rawhttp.EOF, 0, false, "lost"},
		{"on another worker's connection", other, 50, 105, rawhttp.Reset, 0, false, "lost"},
		{"in the queue, so on no worker's list", netip.AddrPort{}, 50, 105, rawhttp.Reset, 0, false, "lost"},
		{"no connection at all", netip.AddrPort{}, 50, 105, rawhttp.Refused, 0, false, "lost"},
		{"answered wrongly", held, 50, 105, rawhttp.BadBody, 0, true, "lost"},
		{"never answered", held, 50, 20_050, rawhttp.Timeout, 0, false, "lost"},
		{"idle, but not for long", other, 200, 201, rawhttp.Reset, drainDelay / 2, false, "lost"},
		{"idle for as long as a drain waits", other, 200, 201, rawhttp.Reset, drainDelay, false, "late"},
		{"idle for long, and cut in the answer", other, 200, 201, rawhttp.Cut, drainDelay, true, "lost"},
	} {
		t.Run(c.name, func(t *testing.T) {
			j := &judge{journal: newJournal(false, io.Discard)}
			j.killed(&kill{pid: 1, from: at(100), until: at(110), held: map[netip.AddrPort]bool{held: true}})
			f := failure{request: request{local: c.local, nth: 2, begun: at(c.begun), idle: c.idle,
				answer: rawhttp.Answer{Outcome: c.outcome, Err: errors.New("broken"), Done: at(c.end)}}}
			if c.firstByte {
				f.answer.FirstByte = at(c.begun)
			}
			j.failed(f)
			lost, late, inFlight := j.verdict()
			got := fmt.Sprint(len(lost), inFlight, len(late))
			if want := map[string]string{"lost": "1 0 0", "in flight": "0 1 0", "late": "0 0 1"}[c.want]; got != want {
				t.Errorf("lost, in flight, late: %s, want %s", got, want)
			}
			if text := j.explain(f); !strings.Contains(text, "LOST") || !strings.Contains(text, "✗") {
				t.Errorf("the explanation lacks something:\n%s", text)
			}
		})
	}
}

func TestChecks(t *testing.T) {
	now := fmt.Sprint(time.Now().Unix())
	for _, c := range []struct {
		body string
		ok   bool
	}{
		{"Handled by process 12.Cached value: " + now, true},
		{"Handled by process 12.Cached value: " + now + "\n", true},
		{"Handled by process 12.Cached value: none", false},
		{"Handled by process 12.Cached value: 1000000000", false},
		{"Handled by process .Cached value: " + now, false},
		{"", false},
	} {
		if pid, err := checkIndex([]byte(c.body)); (err == nil) != c.ok || c.ok && pid != 12 {
			t.Errorf("%q: %d %v", c.body, pid, err)
		}
	}
	stream := "0 from process 9\n1 from process 9\n2 from process 9\nend\n"
	if pid, err := checkStream([]byte(stream), 3); err != nil || pid != 9 {
		t.Errorf("stream: %d %v", pid, err)
	}
	if _, err := checkStream([]byte(stream[:len(stream)-5]), 3); err == nil {
		t.Error("a stream without its end passes")
	}
	if checkUpload([]byte("3 00\n"), []byte("abc")) == nil {
		t.Error("a wrong hash passes")
	}
}
