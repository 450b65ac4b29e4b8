//go:build linux

package main

import (
	"math"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tinehq/tine/scripts/internal/rawhttp"
)

// A server that holds everything up for a while is seen by all requests that were to arrive meanwhile.
func TestOpenLoopCountsFromArrival(t *testing.T) {
	const held = 300 * time.Millisecond
	began := time.Now()
	var asked atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		time.Sleep(held - time.Since(began))
		_, _ = rw.Write([]byte("Handled by process 7.Cached value: none"))
	}))
	defer server.Close()
	o := openLoop{rate: 200, span: 400 * time.Millisecond, seed: 1}
	began = time.Now()
	v, err := o.run(t.Context(), strings.TrimPrefix(server.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	if n, examples := v.failed(); n > 0 || int(asked.Load()) != len(v.shots) {
		t.Fatalf("%d failed, %d of %d asked: %q", n, asked.Load(), len(v.shots), examples)
	}
	if n := len(v.shots); n < 40 || n > 160 {
		t.Errorf("%d requests in %v at %d/s", n, o.span, o.rate)
	}
	for i, s := range v.shots {
		if s.pid != 7 || s.began < s.due || s.connected < s.began || s.done < s.connected {
			t.Fatalf("request %d: %+v", i, s)
		}
		if s.due < held-10*time.Millisecond && s.done < held-10*time.Millisecond {
			t.Errorf("request %d was to arrive at %v and done at %v, while all were held up for %v", i, s.due, s.done, held)
		}
	}
	again, err := o.run(t.Context(), strings.TrimPrefix(server.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	if len(again.shots) != len(v.shots) || again.shots[3].due != v.shots[3].due {
		t.Error("the same seed gave other arrivals")
	}
}

func TestOpenLoopTellsFailures(t *testing.T) {
	addr, err := freeAddress()
	if err != nil {
		t.Fatal(err)
	}
	v, err := openLoop{rate: 100, span: 200 * time.Millisecond}.run(t.Context(), addr)
	if err != nil {
		t.Fatal(err)
	}
	if n, examples := v.failed(); n == 0 || n != len(v.shots) || len(v.times()) != 0 || v.shots[0].f.outcome != rawhttp.Refused {
		t.Errorf("%d of %d failed where no process listens: %q", n, len(v.shots), examples)
	}
}

func TestFigures(t *testing.T) {
	if s := spreadOf([]int{9, 11, 9, 11}); math.Abs(s-0.1) > 1e-9 {
		t.Errorf("spread %v", s)
	}
	if s := over([]time.Duration{1, 2, 3, 4}, 3); s != 0.25 {
		t.Errorf("share over %v", s)
	}
	if r := turns([]string{"a", "b", "c"}, 1); strings.Join(r, "") != "cba" {
		t.Errorf("second turn %q", r)
	}
}
