package above

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestSlowOverseer: nobody waits for one who does not read; of what is said meanwhile the newest status is left, and the
// last changes in their order.
func TestSlowOverseer(t *testing.T) {
	var mu sync.Mutex
	var said []string
	entered, let := make(chan struct{}), make(chan struct{})
	var once sync.Once
	n := newNotifier(func(lines ...string) error {
		once.Do(func() { close(entered); <-let })
		mu.Lock()
		defer mu.Unlock()
		said = append(said, strings.Join(lines, " "))
		return nil
	}, func(error) {})
	n.send("first")
	<-entered
	for i := range 100 {
		n.send(fmt.Sprint(i))
		n.setStatus(fmt.Sprint("status ", i))
		n.ping()
	}
	close(let)
	n.close()
	want := []string{"first"}
	for i := 100 - maxNotices; i < 100; i++ {
		want = append(want, fmt.Sprint(i))
	}
	text := strings.Join(said, ",")
	if strings.Count(text, "STATUS=status 99") != 1 || strings.Count(text, "STATUS") != 1 || strings.Count(text, "WATCHDOG") > 1 {
		t.Errorf("said: %s", text)
	}
	for i := range said {
		said[i], _, _ = strings.Cut(said[i], " ")
	}
	if got := strings.Join(said, ","); got != strings.Join(want, ",") {
		t.Errorf("said %s, want %s", got, strings.Join(want, ","))
	}
}

// TestNotifierTellsOfAFailureOnce in a row.
func TestNotifierTellsOfAFailureOnce(t *testing.T) {
	failures := 0
	n := newNotifier(func(...string) error { return errors.New("gone") }, func(error) { failures++ })
	for range 5 {
		n.send("READY=1")
	}
	n.close()
	if failures != 1 {
		t.Errorf("%d failures were told", failures)
	}
	var none *notifier
	none.send("READY=1")
	none.setStatus("x")
	none.close()
}
