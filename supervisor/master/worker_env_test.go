package master

import (
	"slices"
	"testing"

	"github.com/tinehq/tine/supervisor/config"
	"github.com/tinehq/tine/supervisor/crew"
	"github.com/tinehq/tine/supervisor/launch"
)

func TestWhatAWorkerFindsOfItself(t *testing.T) {
	a := &crew.App{Name: "web"}
	m := &crew.Worker{App: a, Slot: 2, Generation: 3}
	if got, want := m.OwnEnv(), []string{"TINE_APP=web", "TINE_GENERATION=3", "TINE_SLOT=2", "NODE_APP_INSTANCE=2"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	m.Slot = -1
	if got, want := m.OwnEnv(), []string{"TINE_APP=web", "TINE_GENERATION=3"}; !slices.Equal(got, want) {
		t.Errorf("a standby: %q, want %q", got, want)
	}
	env, err := launch.Environment(config.App{Workers: 1, Env: map[string]string{"TINE_SLOT": "9"}}, []string{"NODE_APP_INSTANCE=7", "A=1"})
	if err != nil {
		t.Fatal(err)
	}
	if slices.Contains(env, "TINE_SLOT=9") || slices.Contains(env, "NODE_APP_INSTANCE=7") || !slices.Contains(env, "A=1") {
		t.Errorf("%q", env)
	}
}
