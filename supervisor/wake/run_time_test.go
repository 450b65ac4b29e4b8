package wake

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// TestWithRunTime: the time is over when this process has run for as long; a cancel ends it before, and its goroutine.
func TestWithRunTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		ctx, cancel := WithRunTime(t.Context(), 3500*time.Millisecond)
		defer cancel()
		<-ctx.Done()
		if took := time.Since(began); took != 3500*time.Millisecond || !errors.Is(context.Cause(ctx), context.DeadlineExceeded) {
			t.Errorf("over after %v: %v", took, context.Cause(ctx))
		}
		ctx, cancel = WithRunTime(t.Context(), time.Hour)
		cancel()
		<-ctx.Done()
		if errors.Is(context.Cause(ctx), context.DeadlineExceeded) {
			t.Errorf("cancelled: %v", context.Cause(ctx))
		}
	})
}
