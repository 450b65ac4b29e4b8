package worker

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tinehq/tine/ipc"
	"github.com/tinehq/tine/ipc/eventually"
)

// answered makes a call and returns its answer.
func (m *master) answered(id uint64, method string, in any) ([]byte, string) {
	m.t.Helper()
	var p *ipc.Payload
	if in != nil {
		b, err := json.Marshal(in)
		if err == nil {
			p, err = payload(b)
		}
		if err != nil {
			m.t.Fatal(err)
		}
	}
	m.send(ipc.Call{ID: id, Method: method, Timeout: eventually.Patience(), Payload: p})
	r := expect[ipc.Reply](m)
	defer ipc.Discard(r)
	if r.ID != id {
		m.t.Fatalf("reply to %d, want %d", r.ID, id)
	}
	if r.Error != "" {
		return nil, r.Error
	}
	b, err := copied(r.Payload)
	if err != nil {
		m.t.Fatal(err)
	}
	return b, ""
}

// servingWith is a worker with options, ready.
func servingWith(t *testing.T, opts ...Option) *master {
	t.Helper()
	w, m := withMaster(t, nil, opts...)
	m.assign()
	go func() { _ = w.Serve(http.NotFoundHandler()) }()
	expect[ipc.Ready](m)
	return m
}

func TestMetricsAreAnswered(t *testing.T) {
	asked := atomic.Int32{}
	m := servingWith(t, WithMetrics(func() ([]byte, error) {
		switch asked.Add(1) {
		case 1:
			return []byte("jobs 1\n"), nil
		case 2:
			return nil, errors.New("no registry")
		case 3:
			panic("oh")
		}
		return make([]byte, maxMetrics+1), nil
	}))
	if b, problem := m.answered(1, "tine.metrics", nil); string(b) != "jobs 1\n" || problem != "" {
		t.Errorf("%q, %s", b, problem)
	}
	if _, problem := m.answered(2, "tine.metrics", nil); problem != "cannot gather metrics: no registry" {
		t.Error(problem)
	}
	if _, problem := m.answered(3, "tine.metrics", nil); !strings.HasPrefix(problem, "cannot gather metrics: panic: oh") {
		t.Error(problem)
	}
	if _, problem := m.answered(4, "tine.metrics", nil); !strings.Contains(problem, "at most 4194304") {
		t.Error(problem)
	}
}

func TestMetricsThatHangAreNotAskedTwice(t *testing.T) {
	out := make(chan struct{})
	m := servingWith(t, WithMetrics(func() ([]byte, error) { <-out; return nil, nil }))
	m.send(ipc.Call{ID: 1, Method: "tine.metrics", Timeout: time.Second})
	if _, problem := m.answered(2, "tine.metrics", nil); problem != "the metrics are being gathered already" {
		t.Error(problem)
	}
	close(out)
	r := expect[ipc.Reply](m)
	ipc.Discard(r)
	if r.ID != 1 {
		t.Errorf("reply to %d", r.ID)
	}
}

// TestMetricsOfNone: the words are those by which the master knows that there is no such method.
func TestMetricsOfNone(t *testing.T) {
	if _, problem := servingWith(t).answered(1, "tine.metrics", nil); problem != `worker has no handler of "tine.metrics"` {
		t.Error(problem)
	}
}
