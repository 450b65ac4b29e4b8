package master

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/tinehq/tine/supervisor/config"
)

func testTimes(a config.App) config.App {
	a.DrainDelay, a.KillAfter = 20*time.Millisecond, time.Second
	a.Backoff.Base = 20 * time.Millisecond
	return a
}

func asExit(err error, to **ExitError) bool { return errors.As(err, to) }

// TestOneShotIsAnyProgram: it runs as long as it likes, says nothing on its channel,
// and ends the master when it was the last.
func TestOneShotIsAnyProgram(t *testing.T) {
	log := &lockedBuffer{}
	j := oneShot("job", "exec 3>&-; echo slot $TINE_SLOT of $TINE_APP in $TINE_GENERATION instance $NODE_APP_INSTANCE; sleep 0.5; echo done")
	j.ReadyTimeout = 100 * time.Millisecond
	s, err := New(&config.Config{Name: "test", Log: config.Log{Format: "json"}, Apps: []config.App{j}}, WithOutput(log, log))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Run(bounded(t)); err != nil {
		t.Error(err)
	}
	for _, want := range []string{"slot 0 of job in 1 instance 0", `"done"`, "all workers have finished"} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("no %q in\n%s", want, log)
		}
	}
	if strings.Contains(log.String(), "replacing it") || strings.Contains(log.String(), "does not read") {
		t.Errorf("blamed for its channel:\n%s", log)
	}
}
