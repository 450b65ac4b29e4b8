package proxy

import (
	"sync"
	"time"
)

// budget bounds how many requests are sent again: a fifth of all, and 10 a second beside, so that members which fail under load do not
// get more of it.
type budget struct {
	mu     sync.Mutex
	tokens int64 // thousandths of a retry
	at     time.Time
}

const (
	oneRetry    = 1000
	retryShare  = oneRetry / 5
	retryRate   = 10 * oneRetry  // a second
	retryTokens = 100 * oneRetry // that are saved up at most
)

// request is a new request, which earns its share of a retry.
func (b *budget) request(now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.passTime(now)
	b.tokens = min(b.tokens+retryShare, retryTokens)
}

// retry takes one, if there is one.
func (b *budget) retry(now time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.passTime(now)
	if b.tokens < oneRetry {
		return false
	}
	b.tokens -= oneRetry
	return true
}

func (b *budget) passTime(now time.Time) {
	if b.at.IsZero() {
		b.tokens, b.at = retryRate, now
	}
	if ms := now.Sub(b.at).Milliseconds(); ms > 0 {
		b.tokens, b.at = min(b.tokens+min(ms, 1e6)*retryRate/1000, retryTokens), b.at.Add(time.Duration(ms)*time.Millisecond)
	}
}
