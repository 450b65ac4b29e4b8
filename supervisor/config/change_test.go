package config

import (
	"testing"
)

func TestWhatNeedsARollout(t *testing.T) {
	base := func() App {
		a := NewApp("web", "./server", "-v")
		a.Env = map[string]string{"A": "1"}
		return a
	}
	for name, c := range map[string]struct {
		change func(*App)
		rolls  bool
	}{
		"nothing":    {func(*App) {}, false},
		"workers":    {func(a *App) { a.Workers = 9 }, false},
		"timeout":    {func(a *App) { a.DrainTimeout++ }, false},
		"argument":   {func(a *App) { a.Command = []string{"./server", "-q"} }, true},
		"folder":     {func(a *App) { a.Dir = "/" }, true},
		"variable":   {func(a *App) { a.Env = map[string]string{"A": "2"} }, true},
		"env file":   {func(a *App) { a.EnvFiles = []string{".env"} }, true},
		"gomaxprocs": {func(a *App) { a.GOMAXPROCS = 2 }, true},
	} {
		changed := base()
		c.change(&changed)
		if got := StartedDifferently(base(), changed); got != c.rolls {
			t.Errorf("%s: rolled %v, want %v", name, got, c.rolls)
		}
	}
}
