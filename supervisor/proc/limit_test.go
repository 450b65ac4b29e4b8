package proc

import (
	"errors"
	"fmt"
	"io/fs"
	"syscall"
	"testing"
)

func TestAsLimitNamesALimitOnce(t *testing.T) {
	cause := fmt.Errorf("cannot open: %w", &fs.PathError{Op: "open", Path: "x", Err: syscall.EMFILE})
	err := AsLimit(cause)
	var limit *LimitError
	if !errors.As(err, &limit) || limit.Limit != "RLIMIT_NOFILE" || limit.Value == "" || !errors.Is(err, syscall.EMFILE) {
		t.Errorf("got %#v, want RLIMIT_NOFILE with its value around EMFILE", err)
	}
	outer := fmt.Errorf("cannot start: %w", err)
	if got := AsLimit(outer); got != outer {
		t.Errorf("a named limit became %v", got)
	}
	if got := AsLimit(fs.ErrNotExist); got != fs.ErrNotExist {
		t.Errorf("an error that is not a limit became %v", got)
	}
}
