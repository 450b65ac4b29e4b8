package gateway

import (
	"context"
	"errors"
	"log/slog"
	"sync"

	"github.com/tinehq/tine/ipc/members"
	"github.com/tinehq/tine/ipc/policy"
	"github.com/tinehq/tine/worker/gate"
	"github.com/tinehq/tine/worker/gate/evaluate"
	"github.com/tinehq/tine/worker/gate/formula"
)

// scoreOf is how a policy scores members.
func scoreOf(p *policy.Policy) (gate.Score, error) {
	s := gate.Score{Multipliers: p.Score.Multipliers, Raw: p.Score.Raw, HighestWins: p.Score.HighestWins}
	if p.Score.Formula == "" {
		return s, nil
	}
	own, _ := p.OwnStatistics()
	f, err := formula.Compile(p.Score.Formula, own...)
	if err != nil {
		return s, err
	}
	s.Formula = f.Score
	return s, nil
}

// evaluation is what asks the members of one assembly.
type evaluation struct {
	*evaluate.Evaluator
	http *evaluate.HTTP
	end  context.CancelFunc
	wg   sync.WaitGroup
}

// evaluating begins to ask by e, and gives each table to publish. close ends it.
func evaluating(e *policy.Evaluate, publish func(members.Table), log *slog.Logger) (*evaluation, error) {
	http, err := evaluate.NewHTTP(e.Question)
	if err != nil {
		return nil, err
	}
	v := &evaluation{http: http}
	v.Evaluator, err = evaluate.New(evaluate.Options{
		Mode: evaluate.Mode(e.Mode), RequestTimeout: e.RequestTimeout, ValidTimeout: e.ValidTimeout, Ask: http.Ask, Publish: publish, Log: log,
	})
	if err != nil {
		return nil, err
	}
	ctx, end := context.WithCancel(context.Background())
	v.end = end
	v.wg.Go(func() { v.Run(ctx) })
	return v, nil
}

// await is for proxy.Options. A request that waits when another policy comes goes by the last result.
func (v *evaluation) await(ctx context.Context, prefers bool) error {
	if err := v.Await(ctx, prefers); !errors.Is(err, evaluate.ErrEnded) {
		return err
	}
	return nil
}

func (v *evaluation) close() {
	v.end()
	v.wg.Wait()
	v.http.Close()
}
