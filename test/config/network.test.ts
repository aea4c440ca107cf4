import { describe, expect, it } from 'vitest';
import { networkProblem } from '../../src/config/network.ts';

describe('networkProblem', () => {
  it.each([
    '192.0.2.7',
    '10.0.0.0/8',
    '0.0.0.0/0',
    '10.1.2.3/32',
    '10.0.0.128/25',
    '::1',
    '::/0',
    '2001:db8::/32',
    '2001:db8::1/128',
    '::ffff:10.0.0.0/104',
    'fe80::/10',
  ])('finds %s good', (text) => {
    expect(networkProblem(text)).toBe('');
  });

  it.each([
    ['', 'is not an address or a network'],
    ['localhost', 'is not an address or a network'],
    ['10.0.0', 'is not an address or a network'],
    ['10.0.0.256', 'is not an address or a network'],
    ['10.0.0.0/8/8', 'is not an address or a network'],
    ['fe80::1%eth0', 'is not an address or a network'],
    ['10.0.0.0/33', 'It goes from /0 to /32'],
    ['::/129', 'It goes from /0 to /128'],
    ['10.0.0.0/', 'bad length'],
    ['10.0.0.0/255.0.0.0', 'bad length'],
    ['10.1.2.3/8', 'The network is 10.0.0.0/8, the single address 10.1.2.3'],
    ['10.0.0.129/25', 'The network is 10.0.0.128/25'],
    ['2001:db8::1/32', 'The network is 2001:db8::/32'],
  ])('finds fault with %j', (text, problem) => {
    expect(networkProblem(text)).toContain(problem);
  });
});
