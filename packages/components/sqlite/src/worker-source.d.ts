// See ../worker-source.ts.
declare module "*.js?source" {
  const source: string;
  export default source;
}
