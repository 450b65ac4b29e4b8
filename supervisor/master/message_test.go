package master

import (
	"syscall"
	"testing"

	"github.com/tinehq/tine/supervisor/config"
)

func TestEverySignalHasItsMeaning(t *testing.T) {
	for sig, want := range map[syscall.Signal]message{
		syscall.SIGUSR2: roll{reason: "SIGUSR2"},
		syscall.SIGTTIN: scale{by: 1},
		syscall.SIGTTOU: scale{by: -1},
		syscall.SIGTERM: stopOrder{reason: "terminated"},
		syscall.SIGINT:  stopOrder{reason: "interrupt"},
		syscall.SIGQUIT: stopOrder{reason: "quit"},
	} {
		if got, ok := signalMessage(sig); !ok || got != want {
			t.Errorf("%v: %#v, want %#v", sig, got, want)
		}
	}
	for _, sig := range []syscall.Signal{syscall.SIGURG, syscall.SIGWINCH, syscall.SIGCHLD} {
		if got, ok := signalMessage(sig); ok {
			t.Errorf("%v is not the master's business, but means %#v", sig, got)
		}
	}
}

func TestWhatNeedsARollout(t *testing.T) {
	base := func() config.App {
		a := config.NewApp("web", "./server", "-v")
		a.Env = map[string]string{"A": "1"}
		return a
	}
	for name, c := range map[string]struct {
		change func(*config.App)
		rolls  bool
	}{
		"nothing":    {func(*config.App) {}, false},
		"workers":    {func(a *config.App) { a.Workers = 9 }, false},
		"timeout":    {func(a *config.App) { a.DrainTimeout++ }, false},
		"argument":   {func(a *config.App) { a.Command = []string{"./server", "-q"} }, true},
		"folder":     {func(a *config.App) { a.Dir = "/" }, true},
		"variable":   {func(a *config.App) { a.Env = map[string]string{"A": "2"} }, true},
		"env file":   {func(a *config.App) { a.EnvFiles = []string{".env"} }, true},
		"gomaxprocs": {func(a *config.App) { a.GOMAXPROCS = 2 }, true},
	} {
		changed := base()
		c.change(&changed)
		if got := config.StartedDifferently(base(), changed); got != c.rolls {
			t.Errorf("%s: rolled %v, want %v", name, got, c.rolls)
		}
	}
}
