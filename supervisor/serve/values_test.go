package serve

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/tinehq/tine/ipc"
	"github.com/tinehq/tine/supervisor/cache"
	"github.com/tinehq/tine/supervisor/handle"
	"github.com/tinehq/tine/supervisor/values"
)

// store is a master with what there is under each key.
type store struct {
	Master
	found values.Found
	err   error
}

func (s *store) Value(context.Context, string) (values.Found, error)       { return s.found, s.err }
func (s *store) DeleteValue(context.Context, string) (values.Found, error) { return s.found, s.err }
func (s *store) SetValue(context.Context, string, []byte) (uint64, error)  { return 7, s.err }
func (s *store) Call(context.Context, string, uint64, string, []byte) ([]byte, error) {
	return nil, s.err
}

// TestValuesAreRefused: what is not there is 404, and what cannot be is refused with the reason.
func TestValuesAreRefused(t *testing.T) {
	t.Parallel()
	broken, refused := errors.New("broken"), cache.RefusedError{}
	for name, c := range map[string]struct {
		s      store
		do     func(commander) error
		status int // 0: the error is no refusal, or none
		is     error
	}{
		"a value":            {store{found: values.Found{Known: true, Data: []byte("x")}}, getIt, 0, nil},
		"an empty value":     {store{found: values.Found{Known: true, Data: []byte{}}}, getIt, 0, nil},
		"no value yet":       {store{found: values.Found{Known: true}}, getIt, http.StatusNotFound, nil},
		"no such value":      {store{found: values.Found{Keys: []string{"keys"}}}, getIt, http.StatusNotFound, nil},
		"an unreadable one":  {store{found: values.Found{Known: true, Err: broken}}, getIt, 0, broken},
		"an ended master":    {store{err: ErrEnded}, getIt, 0, ErrEnded},
		"deleted":            {store{found: values.Found{Known: true}}, deleteIt, 0, nil},
		"nothing to delete":  {store{}, deleteIt, http.StatusNotFound, nil},
		"set":                {store{}, setIt("key"), 0, nil},
		"without a key":      {store{}, setIt(""), http.StatusUnprocessableEntity, nil},
		"too long a key":     {store{}, setIt(strings.Repeat("k", ipc.MaxKey+1)), http.StatusUnprocessableEntity, nil},
		"refused":            {store{err: fmt.Errorf("cannot set: %w", refused)}, setIt("key"), http.StatusUnprocessableEntity, nil},
		"a call":             {store{}, callIt, 0, nil},
		"of no worker":       {store{err: fmt.Errorf("cannot call: %w", handle.NoWorker("no worker 3"))}, callIt, http.StatusNotFound, nil},
		"of no method":       {store{err: fmt.Errorf("cannot call: %w", handle.NoHandler("no method"))}, callIt, http.StatusNotImplemented, nil},
		"that fails":         {store{err: broken}, callIt, 0, broken},
		"of an ended master": {store{err: ErrEnded}, callIt, 0, ErrEnded},
	} {
		err := c.do(commander{Master: &c.s})
		if refusal(err) != c.status || c.status == 0 && !errors.Is(err, c.is) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func getIt(c commander) error {
	data, _, err := c.Value(context.Background(), "key")
	if err == nil && data == nil {
		return errors.New("no data, and no error")
	}
	return err
}

func deleteIt(c commander) error { return c.DeleteValue(context.Background(), "key") }

func setIt(key string) func(commander) error {
	return func(c commander) error {
		epoch, err := c.SetValue(context.Background(), key, nil)
		if err == nil && epoch != 7 {
			return fmt.Errorf("epoch %d", epoch)
		}
		return err
	}
}

func callIt(c commander) error {
	_, err := c.Call(context.Background(), "web", 3, "method", nil)
	return err
}
