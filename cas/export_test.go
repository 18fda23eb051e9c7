package cas

import "time"

func (s *Store) SetClock(now func() time.Time) { s.now = now }
