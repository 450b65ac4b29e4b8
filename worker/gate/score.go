package gate

import "math"

// byScore is what one more request costs a member by its score. The score is as old as the report, so that each request that was sent
// since makes the member dearer, for its weight: of two members with the same score each gets every other request until the next
// report, and one with the worst score gets half of what one with the best gets.
func byScore(m *member) float64 { return (1 + m.score) * (m.sent() + 1) / m.Weight }

// judge computes the scores of all, 0 for the best to 1 for the worst. Where all are as good they are 0.
func (o Score) judge(all []*member) {
	if o.Formula != nil {
		for _, m := range all {
			m.unknown = true
			if m.Report == nil {
				continue
			}
			if v, ok := o.Formula(m.Report.Stats); ok && !math.IsNaN(v) && !math.IsInf(v, 0) {
				if o.HighestWins {
					v = -v
				}
				m.score, m.unknown = v, false
			}
		}
		spread(all)
		return
	}
	for _, m := range all {
		m.score, m.unknown = 0, false
	}
	for stat, multiplier := range o.Multipliers {
		if multiplier == 0 {
			continue
		}
		low, high := math.Inf(1), math.Inf(-1)
		for _, m := range all {
			v, ok := 0.0, false
			if m.Report != nil {
				v, ok = m.Report.Stats[stat]
			}
			if m.unknown = m.unknown || !ok; ok {
				low, high = min(low, v), max(high, v)
			}
		}
		for _, m := range all {
			if m.unknown {
				continue
			}
			v := m.Report.Stats[stat]
			if !o.Raw {
				switch {
				case high/2 == low/2:
					v = 0
				case stat.HighIsGood():
					v = (high/2 - v/2) / (high/2 - low/2)
				default:
					v = (v/2 - low/2) / (high/2 - low/2)
				}
			}
			m.score += multiplier * v
		}
	}
	spread(all)
}

// spread brings the scores of those that are known to 0 for the lowest to 1 for the highest. Their order stays.
func spread(all []*member) {
	low, high := math.Inf(1), math.Inf(-1)
	for _, m := range all {
		m.unknown = m.unknown || math.IsNaN(m.score) || math.IsInf(m.score, 0) // statistics so large that their sum is no number
		if !m.unknown {
			low, high = min(low, m.score), max(high, m.score)
		}
	}
	for _, m := range all {
		switch {
		case m.unknown:
			m.score = 0
		case high/2 > low/2:
			m.score = (m.score/2 - low/2) / (high/2 - low/2) // halves, as the difference of two numbers may be too large for one
		default:
			m.score = 0
		}
	}
}
