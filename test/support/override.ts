/**
 * Returns an object that behaves as `target`, except for the given members: a class's methods do not
 * survive a spread.
 */
export function override<T extends object, O extends object>(target: T, members: O): T & O {
  return new Proxy(target, {
    get(_target, name) {
      if (name in members) return Reflect.get(members, name) as unknown
      const value: unknown = Reflect.get(target, name)
      return typeof value === 'function' ? (value.bind(target) as unknown) : value
    },
  }) as T & O
}
