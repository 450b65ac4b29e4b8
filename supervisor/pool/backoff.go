package pool

import "time"

// delay is how long to wait after the given number of failures in a row.
func (p *Pool) delay(failures int) time.Duration {
	if failures <= 1 {
		return 0
	}
	b := p.cfg.Backoff
	d := b.Base
	for i := 2; i < failures && d < b.Max; i++ {
		d *= 2
	}
	d = min(d, b.Max)
	return d + time.Duration(float64(d)*b.Jitter*(2*p.random()-1))
}

// random returns the next number in [0, 1) of a splitmix64 sequence: small, and the same for the same seed everywhere.
func (p *Pool) random() float64 {
	p.rand += 0x9e3779b97f4a7c15
	z := p.rand
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	z ^= z >> 31
	return float64(z>>11) / (1 << 53)
}
