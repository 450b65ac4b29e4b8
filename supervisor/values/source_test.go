package values

import (
	"context"
	"testing"

	"github.com/tinehq/tine/supervisor/config"
)

func TestSameSource(t *testing.T) {
	fetch := func(context.Context) (any, error) { return 1, nil }
	closure := func(n int) func(context.Context) (any, error) {
		return func(context.Context) (any, error) { return n, nil }
	}
	one := closure(1)
	base := config.CacheValue{Key: "k", Exec: []string{"date"}, Env: map[string]string{"A": "1"}}
	other := base
	other.Env = map[string]string{"A": "2"}
	equal := base
	equal.Exec, equal.Env = []string{"date"}, map[string]string{"A": "1"}
	for name, c := range map[string]struct {
		a, b config.CacheValue
		want bool
	}{
		"equal":         {base, equal, true},
		"variable":      {base, other, false},
		"function":      {config.CacheValue{Key: "k", Func: fetch}, config.CacheValue{Key: "k", Func: fetch}, true},
		"one closure":   {config.CacheValue{Key: "k", Func: one}, config.CacheValue{Key: "k", Func: one}, true},
		"two closures":  {config.CacheValue{Key: "k", Func: one}, config.CacheValue{Key: "k", Func: closure(2)}, false},
		"none any more": {config.CacheValue{Key: "k", Func: fetch}, config.CacheValue{Key: "k"}, false},
		"interval":      {config.CacheValue{Key: "k", Func: fetch}, config.CacheValue{Key: "k", Func: fetch, Every: 1}, false},
	} {
		if got := sameSource(c.a, c.b); got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}
