package proxy

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/tinehq/tine/ipc/decisions"
	"github.com/tinehq/tine/worker/gate/history"
)

// TestEvaluate: a request waits until it can be picked for, which counts as a wait for a member; one that cannot be is answered with 503
// and the reason.
func TestEvaluate(t *testing.T) {
	t.Parallel()
	h, err := history.New(8)
	if err != nil {
		t.Fatal(err)
	}
	let, asked := make(chan error, 1), make(chan bool, 2)
	f := frontOf(t, func(o *Options) {
		o.History = h
		o.Evaluate = func(ctx context.Context, prefers bool) error {
			asked <- prefers
			select {
			case err := <-let:
				return err
			case <-ctx.Done():
				return ctx.Err()
			}
		}
	}, server(t, func(http.ResponseWriter, *http.Request) {}))
	began := time.Now()
	go func() { let <- nil }()
	if res, text := f.do(t, request(t, "GET", f.URL, nil)); res.StatusCode != 200 || <-asked {
		t.Errorf("%s %q", res.Status, text)
	}
	if d := h.Find(decisions.Query{Last: 1}).Decisions[0]; d.QueuedMS <= 0 || d.QueuedMS > float64(time.Since(began).Milliseconds()+1) {
		t.Errorf("%+v", d)
	}
	let <- errors.New("no server has sent its statistics: a: refused")
	res, text := f.do(t, request(t, "GET", f.URL, nil))
	if res.StatusCode != 503 || res.Header.Get("Retry-After") == "" || !strings.Contains(text, "no server has sent its statistics: a: refused") {
		t.Errorf("%s %q", res.Status, text)
	}
	<-f.log
	if a := <-f.log; a.Status != 503 || a.Err == nil || a.Tries != 0 {
		t.Errorf("%+v", a)
	}
}
