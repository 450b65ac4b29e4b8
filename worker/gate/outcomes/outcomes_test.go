package outcomes

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tinehq/tine/ipc/members"
	"github.com/tinehq/tine/worker/gate"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestPace: the first failure is told at once, what follows at most every 100 ms, an answer after a failure once, and nothing while all
// answer.
func TestPace(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		start, said, full := time.Now(), []string(nil), false
		o := New(func(all []members.Outcome) error {
			if full {
				full = false
				return errors.New("full")
			}
			text := fmt.Sprint(time.Since(start).Milliseconds())
			for _, one := range all {
				text += fmt.Sprintf(" %s:%v/%d/%s", one.ID, one.Answered, one.Failed, one.Why)
			}
			said = append(said, text)
			return nil
		})
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() { o.Run(ctx) })
		step := func(want string, tell func()) {
			t.Helper()
			said = nil
			tell()
			synctest.Wait()
			time.Sleep(99 * time.Millisecond)
			synctest.Wait()
			time.Sleep(time.Millisecond)
			synctest.Wait()
			if got := fmt.Sprint(said); got != want {
				t.Errorf("%s, want %s", got, want)
			}
		}
		tell := func(id string, how gate.Outcome) { o.Tell(id, how, "why") }
		step("[]", func() { tell("a", gate.Answered); tell("a", gate.Cancelled) })
		step("[100 a:false/1/why 200 a:false/2/why b:false/1/why]", func() {
			tell("a", gate.Refused)
			synctest.Wait()
			tell("a", gate.Failed)
			tell("a", gate.Cancelled)
			tell("b", gate.Failed)
			tell("b", gate.Cancelled)
			tell("a", gate.Failed)
		})
		step("[300 a:true/1/why b:true/0/]", func() {
			tell("a", gate.Failed)
			tell("a", gate.Answered)
			tell("b", gate.Answered)
			tell("b", gate.Answered)
			tell("a", gate.Failed)
		})
		step("[]", func() { tell("b", gate.Answered) })
		full = true
		step("[500 a:false/1/why]", func() { tell("a", gate.Failed) })
		o.Update(members.Table{Members: []members.Member{{ID: "b"}}})
		step("[]", func() { tell("a", gate.Answered) })
		if o.failed.Load() != 0 {
			t.Errorf("%d members fail", o.failed.Load())
		}
		cancel()
		wg.Wait()
	})
}

// TestTellAllocates: a request that is answered, while all are, costs nothing.
func TestTellAllocates(t *testing.T) {
	o := New(nil)
	if n := testing.AllocsPerRun(100, func() { o.Tell("a", gate.Answered, "") }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}
