export default function AdminPages() {
  return <h1>Admin</h1>;
}
