package launch

import (
	"errors"
	"testing"
)

func TestPreparationIsDoneOnce(t *testing.T) {
	var p preparation
	no := errors.New("no")
	begun, end := make(chan struct{}), make(chan struct{})
	results := make(chan error, 3)
	go func() { results <- p.once(func() error { close(begun); <-end; return no }) }()
	<-begun
	// These share the failure, or are too late and fail on their own.
	for range 2 {
		go func() { results <- p.once(func() error { return no }) }()
	}
	close(end)
	for range 3 {
		if err := <-results; !errors.Is(err, no) {
			t.Errorf("got %v", err)
		}
	}
	if err := p.once(func() error { return nil }); err != nil {
		t.Errorf("after a failure: %v", err)
	}
	if err := p.once(func() error { return no }); err != nil {
		t.Error("done twice")
	}
}
