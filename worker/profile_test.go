package worker

import (
	"bytes"
	"strings"
	"testing"

	"github.com/google/pprof/profile"
	"github.com/tinehq/tine/ipc"
	"github.com/tinehq/tine/ipc/eventually"
)

func TestProfilesOfEachKind(t *testing.T) {
	m := servingWith(t)
	for i, kind := range []string{"heap", "allocs", "goroutine", "threadcreate", "block", "mutex"} {
		b, problem := m.answered(uint64(i+1), "tine.profile", profileRequest{Kind: kind})
		if problem != "" {
			t.Errorf("%s: %s", kind, problem)
			continue
		}
		p, err := profile.ParseData(b)
		if err == nil {
			err = p.CheckValid()
		}
		if err != nil {
			t.Errorf("%s: %v", kind, err)
		}
	}
}

func TestProfilesThatTakeTime(t *testing.T) {
	m := servingWith(t)
	m.send(ipc.Call{ID: 1, Method: "tine.profile", Timeout: eventually.Patience(), Payload: mustPayload(t, `{"kind":"cpu","seconds":1}`)})
	if _, problem := m.answered(2, "tine.profile", profileRequest{Kind: "heap"}); problem != "a profile is being made already" {
		t.Errorf("second: %s", problem)
	}
	r := expect[ipc.Reply](m)
	defer ipc.Discard(r)
	b, err := copied(r.Payload)
	if err != nil || r.ID != 1 || r.Error != "" {
		t.Fatalf("%d: %s %v", r.ID, r.Error, err)
	}
	if p, err := profile.ParseData(b); err != nil || p.PeriodType.Type != "cpu" {
		t.Errorf("%v", err)
	}
	trace, problem := m.answered(3, "tine.profile", profileRequest{Kind: "trace", Seconds: 1})
	if problem != "" || !bytes.HasPrefix(trace, []byte("go 1.")) {
		t.Errorf("trace: %s %.20q", problem, trace)
	}
	if _, problem := m.answered(4, "tine.profile", profileRequest{Kind: "block", Seconds: 1}); problem != "" {
		t.Error(problem)
	}
}

func TestProfileOfNoKind(t *testing.T) {
	m := servingWith(t)
	if _, problem := m.answered(1, "tine.profile", profileRequest{Kind: "hepa"}); !strings.Contains(problem, `no profile "hepa"`) {
		t.Error(problem)
	}
	if _, problem := m.answered(2, "tine.profile", []int{1}); !strings.Contains(problem, "cannot read what profile is wanted") {
		t.Error(problem)
	}
}

func mustPayload(t *testing.T, text string) *ipc.Payload {
	t.Helper()
	p, err := payload([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return p
}
