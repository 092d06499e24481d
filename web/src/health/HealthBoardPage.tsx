export default function HealthBoardPage() {
  return <h1>Health</h1>;
}
