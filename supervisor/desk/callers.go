package desk

import (
	"github.com/tinehq/tine/supervisor/control/api"
	"github.com/tinehq/tine/supervisor/orders"
)

// callers are those that wait, by their request. A caller that has given up leaves its channels behind, which are not read any more: each has
// room for what comes.
type callers struct {
	last orders.Request
	of   map[orders.Request]*caller
}

type caller struct {
	steps   chan<- api.Progress // nil: it wants none
	answer  chan<- Begun
	results chan<- result
	left    int // results to come
}

// result is the end of one order of a request.
type result struct {
	part int
	err  error
}

// add gives a caller a number. answer has room for one.
func (c *callers) add(steps chan<- api.Progress, answer chan<- Begun) orders.Request {
	c.last++
	c.of[c.last] = &caller{steps: steps, answer: answer}
	return c.last
}

// tell tells a caller what an effect is about. It reports false for an effect that is not about a caller.
func (c *callers) tell(effect orders.Effect) bool {
	switch e := effect.(type) {
	case orders.Progress:
		select {
		case c.of[e.Request].steps <- e.Progress:
		default: // what does not fit is left out; the end never is
		}
	case orders.Refused:
		c.of[e.Request].answer <- Begun{Err: e.Err}
		delete(c.of, e.Request)
	case orders.Begun:
		r, results := c.of[e.Request], make(chan result, e.Parts)
		r.results, r.left = results, e.Parts
		r.answer <- Begun{parts: e.Parts, results: results}
		if e.Parts == 0 {
			delete(c.of, e.Request)
		}
	case orders.Result:
		r := c.of[e.Request]
		r.results <- result{e.Part, e.Err}
		if r.left--; r.left == 0 {
			delete(c.of, e.Request)
		}
	default:
		return false
	}
	return true
}
