package cache

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"strings"
	"testing"
)

func TestEncode(t *testing.T) {
	for _, c := range []struct {
		value any
		want  string
	}{
		{0, "0"}, {false, "false"}, {"", ""}, {nil, "null"}, {"a\nb", "a\nb"}, {[]byte{0, 255}, "\x00\xff"},
		{1.5, "1.5"}, {[]int{1, 2}, "[1,2]"}, {map[string]int{"a": 1}, `{"a":1}`}, {json.RawMessage(`{"b": 2}`), `{"b":2}`},
		{uint64(math.MaxUint64), "18446744073709551615"},
	} {
		p, err := Encode(c.value)
		if err != nil {
			t.Errorf("%v: %v", c.value, err)
			continue
		}
		if got := text(t, p); got != c.want {
			t.Errorf("%v became %q, want %q", c.value, got, c.want)
		}
	}
	if _, err := Encode(make(chan int)); err == nil || !strings.Contains(err.Error(), "cannot encode chan int") {
		t.Errorf("got %v", err)
	}
}

func TestFunc(t *testing.T) {
	refused := errors.New("refused")
	for _, c := range []struct {
		name string
		f    func(context.Context) (any, error)
		want string
		err  string
	}{
		{"value", func(context.Context) (any, error) { return 0, nil }, "0", ""},
		{"error", func(context.Context) (any, error) { return nil, refused }, "", "refused"},
		{"panic", func(context.Context) (any, error) { panic("oops") }, "", "the function panicked: oops"},
		{"unencodable", func(context.Context) (any, error) { return math.Inf(1), nil }, "", "cannot encode float64"},
	} {
		t.Run(c.name, func(t *testing.T) { check(t, Func(c.f), c.want, c.err) })
	}
}

// check fetches once and expects a value or an error that contains a text.
func check(t *testing.T, s Source, want, wantErr string) {
	t.Helper()
	p, err := s.Fetch(t.Context())
	switch {
	case wantErr != "" && err == nil:
		t.Errorf("got %q, want the error %q", text(t, p), wantErr)
	case wantErr != "":
		if !strings.Contains(err.Error(), wantErr) {
			t.Errorf("the error is %q, want %q", err, wantErr)
		}
		if p != nil {
			t.Error("an error with a payload")
		}
	case err != nil:
		t.Errorf("failed: %v", err)
	default:
		if got := text(t, p); got != want {
			t.Errorf("got %.100q, want %.100q", got, want)
		}
	}
}
